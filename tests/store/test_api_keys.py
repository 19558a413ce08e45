import re
from pathlib import Path

import pytest

from atrous.domain.errors import BadInput, Conflict, NotFound
from atrous.store import Store, open_store
from atrous.store.api_keys import ApiKeys


def test_a_key_opens_until_it_is_revoked(store: Store) -> None:
    created = store.api_keys.create("laptop", store.workspaces.default())
    assert store.api_keys.verify(created.plain_text) == created.key
    store.api_keys.revoke("laptop")
    assert store.api_keys.verify(created.plain_text) is None
    with pytest.raises(NotFound, match="laptop"):
        store.api_keys.revoke("laptop")
    [listed] = store.api_keys.list()
    assert listed.revoked_at is not None


def test_revocation_reaches_another_process_at_once(store: Store) -> None:
    created = store.api_keys.create("laptop", store.workspaces.default())
    with open_store(store.home.folder) as other:
        assert other.api_keys.verify(created.plain_text)
        store.api_keys.revoke("laptop")
        assert other.api_keys.verify(created.plain_text) is None


def test_keys_are_long_random_and_have_lower_case_letters(store: Store) -> None:
    workspace = store.workspaces.default()
    keys = [store.api_keys.create(f"key {i}", workspace).plain_text for i in range(20)]
    assert len(set(keys)) == 20
    for key in keys:
        assert re.fullmatch(r"atr_[A-Za-z0-9_-]{43}", key)  # 43 characters of base64: 256 bits


def test_plain_text_is_stored_nowhere(store: Store, migrated_url: str) -> None:
    secret = store.api_keys.create("laptop", store.workspaces.default()).plain_text
    stored = b"".join(path.read_bytes() for path in Path(store.home.folder).rglob("*sqlite3*"))
    if migrated_url.startswith("postgresql"):
        import psycopg

        with psycopg.connect(migrated_url) as connection:
            rows = connection.execute("SELECT CAST(api_keys AS text) FROM api_keys").fetchall()
        stored = str(rows).encode()
    assert secret[:12].encode() in stored
    assert secret[12:].encode() not in stored


@pytest.mark.parametrize("change", [str.upper, lambda key: key[:-1], lambda key: key + "x"])
def test_almost_right_is_wrong(store: Store, change) -> None:
    secret = store.api_keys.create("laptop", store.workspaces.default()).plain_text
    assert store.api_keys.verify(change(secret)) is None


@pytest.mark.parametrize("secret", ["", "None", "atr_", "\ud800", "é" * 5000, "' OR 1=1 --"])
def test_nonsense_is_wrong(store: Store, secret: str) -> None:
    store.api_keys.create("laptop", store.workspaces.default())
    assert store.api_keys.verify(secret) is None


def test_a_key_expires(store: Store) -> None:
    now = 1000.0
    keys = ApiKeys(store._database, clock=lambda: now)
    created = keys.create("guest", store.workspaces.default(), expires_at=1010.0)
    assert keys.verify(created.plain_text)
    now = 1010.0
    assert keys.verify(created.plain_text) is None


def test_names_are_free_again_after_revocation(store: Store) -> None:
    workspace = store.workspaces.default()
    store.api_keys.create("laptop", workspace)
    with pytest.raises(Conflict, match="laptop"):
        store.api_keys.create("laptop", workspace)
    store.api_keys.revoke("laptop")
    store.api_keys.create("laptop", workspace, scopes=["infer"])
    assert store.api_keys.list()[-1].scopes == ("infer",)


def test_a_name_in_two_workspaces_is_revoked_by_id(store: Store) -> None:
    store.api_keys.create("laptop", store.workspaces.default())
    other = store.api_keys.create("laptop", store.workspaces.create("acme"))
    with pytest.raises(Conflict, match="id"):
        store.api_keys.revoke("laptop")
    store.api_keys.revoke(other.key.id)
    assert store.api_keys.verify(other.plain_text) is None


def test_bad_names_and_scopes_are_refused(store: Store) -> None:
    workspace = store.workspaces.default()
    for name in ["", "  ", "x" * 201]:
        with pytest.raises(BadInput, match="name"):
            store.api_keys.create(name, workspace)
    with pytest.raises(BadInput, match="scopes"):
        store.api_keys.create("x", workspace, scopes=[])


def test_a_key_is_active_until_it_is_revoked_or_expires(store: Store) -> None:
    workspace = store.workspaces.default()
    lasting = store.api_keys.create("lasting", workspace).key
    over = store.api_keys.create("over", workspace, expires_at=1.0).key
    assert [store.api_keys.is_active(key.id) for key in (lasting, over)] == [True, False]
    store.api_keys.revoke("lasting")
    assert not store.api_keys.is_active(lasting.id)
    assert not store.api_keys.is_active("absent")
    assert not store.api_keys.any_active()
    store.api_keys.create("another", store.workspaces.default())
    assert store.api_keys.any_active()
