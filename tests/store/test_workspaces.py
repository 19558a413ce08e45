import pytest

from atrous.domain.errors import BadModelId, Conflict, NotFound
from atrous.store import Store


def test_default_workspace_is_made_once(store: Store) -> None:
    assert store.workspaces.default() == store.workspaces.default()
    assert [workspace.slug for workspace in store.workspaces.list()] == ["default"]


def test_slugs_are_unique_and_checked(store: Store) -> None:
    acme = store.workspaces.create("acme", "Acme")
    assert store.workspaces.get("acme") == acme
    assert acme.name == "Acme"
    with pytest.raises(Conflict, match="acme"):
        store.workspaces.create("acme")
    with pytest.raises(BadModelId):
        store.workspaces.create("../acme")
    with pytest.raises(NotFound):
        store.workspaces.get("nobody")
