"""Uploads to a disk that is full: a clear answer, nothing half written, and all well afterwards."""

import errno
import shutil
from pathlib import Path

import pytest

from atrous.store import Store
from atrous.store.image_search import ImageQuery


def fill(reader, writer, _) -> None:
    """The disk becomes full in the middle of a file."""
    writer.write(reader.read()[:3])
    raise OSError(errno.ENOSPC, "No space left on device")


def files_of(store: Store) -> set[Path]:
    return {path for path in store.home.blobs.rglob("*") if path.is_file()}


def test_an_upload_to_a_full_disk(
    api, roads: str, store: Store, png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = files_of(store)  # those of a model
    with monkeypatch.context() as full:
        full.setattr(shutil, "copyfileobj", fill)
        answer = api.upload(png)
    assert answer.status_code == 507
    assert "the disk is full" in answer.json()["message"]
    project = store.projects.get(store.workspaces.default().id, "roads")
    assert store.image_search.find(project, ImageQuery()).total == 0
    assert files_of(store) == before
    assert api.upload(png).status_code == 200
    assert store.image_search.find(project, ImageQuery()).total == 1
