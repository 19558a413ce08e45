import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from atrous.cli import own_key
from atrous.cli.own_key import ensure_key
from atrous.cli.up import greeting
from atrous.store import Store, open_store


@pytest.fixture
def store(home: Path) -> Iterator[Store]:
    with open_store(home) as opened:
        yield opened


def test_the_key_is_made_once_for_its_owner_alone(store: Store) -> None:
    before = os.umask(0)  # even where nothing is masked
    try:
        path = ensure_key(store)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    key = path.read_text()
    assert key.endswith("\n")
    assert len(store.api_keys.list()) == 1
    assert ensure_key(store).read_text() == key
    assert len(store.api_keys.list()) == 1


def test_a_store_with_a_key_gets_no_other(store: Store) -> None:
    store.api_keys.create("laptop", store.workspaces.default())
    path = ensure_key(store)
    assert not path.exists()
    text = greeting("http://x:1", path, store)
    assert "key         yours; another: atrous keys create NAME" in text
    assert str(path) not in text
    assert 'api_key=YOUR_KEY"' in text
    assert 'api_key="YOUR_KEY")' in text


@pytest.mark.parametrize("damage", [None, "", "atr_never_made", b"\xff\x00"])
def test_a_key_that_is_not_active_is_replaced(store: Store, damage: str | bytes | None) -> None:
    path = ensure_key(store)
    first = path.read_text()
    store.api_keys.revoke("default")
    if damage is not None:
        path.write_bytes(damage.encode() if isinstance(damage, str) else damage)
    assert ensure_key(store) == path
    assert path.read_text() != first
    assert store.api_keys.verify(path.read_text().strip())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_revoked_key_is_shown_to_nobody(store: Store) -> None:
    """Where others are active, whoever has one of these is meant."""
    path = ensure_key(store)
    store.api_keys.create("laptop", store.workspaces.default())
    store.api_keys.revoke("default")
    assert not ensure_key(store).exists()
    assert "yours; another: atrous keys create NAME" in greeting("http://x:1", path, store)


def test_no_key_is_left_that_nobody_knows(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(own_key.os, "fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        ensure_key(store)
    monkeypatch.undo()
    assert store.api_keys.verify(ensure_key(store).read_text().strip())
