from atrous.store import Store, open_store


def test_a_secret_is_made_once_and_kept(store: Store) -> None:
    first = store.secrets.get("links")
    assert len(first) == 32
    assert store.secrets.get("links") == first
    assert store.secrets.get("others") != first
    with open_store(store.home.folder) as other:
        assert other.secrets.get("links") == first
