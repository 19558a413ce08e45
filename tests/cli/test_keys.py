import json
import re
from datetime import datetime, timezone

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
    assert (listed["workspace"], listed["state"]) == ("default", "revoked")
    assert "digest" not in listed
    assert "revoked" in atrous("keys", "list")[1]


def test_a_key_of_another_workspace(atrous, home) -> None:
    secrets = [
        atrous("keys", "create", name, "--workspace", "forest")[1].strip() for name in ("a", "b")
    ]
    atrous("keys", "create", "c", "--days", "30")
    with open_store(home) as store:
        [forest] = [each for each in store.workspaces.list() if each.slug == "forest"]
        assert all(store.api_keys.verify(each).workspace_id == forest.id for each in secrets)
        third = store.api_keys.list()[2]
    _, out, _ = atrous("keys", "list")
    header, first, _, last = out.splitlines()
    assert header.split() == [
        *("NAME", "ID", "KEY", "WORKSPACE", "SCOPES", "CREATED", "EXPIRES", "STATE"),
    ]
    assert " forest " in first
    assert " never " in first
    assert " default " in last
    assert third.id in last
    assert datetime.fromtimestamp(third.expires_at, timezone.utc).strftime("%Y-%m-%d") in last
    assert atrous("keys", "revoke", third.id)[0] == 0


@pytest.mark.parametrize("workspace", ["models", "123", "Forest", "../a", "My Team"])
def test_names_that_no_workspace_can_have(atrous, home, workspace: str) -> None:
    code, out, err = atrous("keys", "create", "laptop", "--workspace", workspace)
    assert (code, out) == (1, "")
    assert f"workspace '{workspace}' " in err
    with open_store(home) as store:
        assert not store.api_keys.list()


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
    for days in ("-1", "0", "nan"):
        code, _, err = atrous("keys", "create", "x", "--days", days)
        assert (code, f"--days is {days}" in err) == (2, True)
