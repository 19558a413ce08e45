import json
import re

import pytest

from atrous.store import open_store


def test_create_prints_the_key_alone(atrous, home) -> None:
    code, out, err = atrous("keys", "create", "laptop")
    assert (code, err) == (0, "")
    assert re.fullmatch(r"atr_[A-Za-z0-9_-]{43}\n", out)
    with open_store(home) as store:
        key = store.api_keys.verify(out.strip())
        assert key is not None
        assert key.scopes == ("admin", "write", "infer")
        assert key.expires_at is None


def test_scopes_and_expiry(atrous, home) -> None:
    _, out, _ = atrous("keys", "create", "guest", "--scope", "infer", "--days", "0.5")
    with open_store(home) as store:
        key = store.api_keys.verify(out.strip())
        assert key is not None
        assert key.scopes == ("infer",)
        assert key.expires_at == pytest.approx(key.created_at + 43_200, abs=600)


def test_list_and_revoke(atrous) -> None:
    _, secret, _ = atrous("keys", "create", "laptop")
    _, out, _ = atrous("keys", "list")
    assert "laptop" in out
    assert "active" in out
    assert secret.strip() not in out
    assert atrous("keys", "revoke", "laptop")[0] == 0
    [listed] = json.loads(atrous("keys", "list", "--json")[1])
    assert listed["revoked_at"]
    assert "digest" not in listed
    assert "revoked" in atrous("keys", "list")[1]


def test_failures(atrous) -> None:
    atrous("keys", "create", "laptop")
    for arguments in (
        ["create", "laptop"],
        ["create", ""],
        ["create", "x", "--scope", "root"],
        ["revoke", "nobody"],
    ):
        code, out, err = atrous("keys", *arguments)
        assert (code, out) == (1, "")
        assert err.startswith("error: ")
    assert atrous("keys", "create", "x", "--days", "-1")[0] == 2
