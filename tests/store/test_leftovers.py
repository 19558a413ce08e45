import os
import time
from pathlib import Path

import pytest

from atrous.domain.errors import Conflict, NotFound
from atrous.store import Store, open_store
from atrous.store.blobs import OWNER_FILE, YOUNG_S, Blobs
from atrous.store.images import NewImage
from atrous.store.labels import NewLabel
from atrous.store.leftovers import GRACE_S, MIN_GRACE_S, UNFINISHED, Removed
from atrous.store.projects import Project


def age(path: Path, seconds: float = GRACE_S + 60) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then))


def path_of(store: Store, digest: str) -> Path:
    return store.home.blobs / digest[:2] / digest[2:4] / digest


@pytest.fixture
def orphan(store: Store) -> Path:
    """An old blob that no row names."""
    path = path_of(store, store.blobs.put(b"orphan").digest)
    age(path)
    return path


def test_only_old_blobs_without_a_row_go(store: Store, project: Project, orphan: Path) -> None:
    put = {name: store.blobs.put(name.encode()).digest for name in ("photo", "thumb", "label")}
    new = NewImage("a.png", put["photo"], put["thumb"], "image/png", 5, 4, 4, "train", "first")
    image, _ = store.images.add(project, new)
    store.labels.save(image, NewLabel(put["label"], "a.json", {1: 3}))
    in_job = store.blobs.put(b"zip").digest
    store.jobs.enqueue("import-zip", {"zip": in_job}, workspace_id=project.workspace_id)
    young = store.blobs.put(b"young").digest
    for digest in (*put.values(), in_job):
        age(path_of(store, digest))
    assert store.leftovers.remove(only_look=True) == Removed(1, 6, ())
    assert store.leftovers.remove() == Removed(1, 6, ())
    assert not orphan.exists()
    for digest in (*put.values(), in_job, young):
        assert store.blobs.read(digest)
    store.images.remove(project, [image.id])
    assert store.leftovers.remove().blobs == 3


def test_what_a_version_froze_stays_when_its_photo_goes(store: Store, project: Project) -> None:
    put = {name: store.blobs.put(name.encode()).digest for name in ("photo", "thumb", "label")}
    new = NewImage("a.png", put["photo"], put["thumb"], "image/png", 5, 4, 4, "train", "first")
    image, _ = store.images.add(project, new)
    store.labels.save(image, NewLabel(put["label"], "a.json", {}))
    store.versions.create(project, preprocessing={}, augmentation={}, seed=1)
    store.images.remove(project, [image.id])
    for digest in put.values():
        age(path_of(store, digest))
    assert store.leftovers.remove().blobs == 1
    assert store.blobs.read(put["photo"]) + store.blobs.read(put["label"]) == b"photolabel"
    with pytest.raises(NotFound):
        store.blobs.read(put["thumb"])


def test_a_blob_that_is_put_again_is_young_again(store: Store, orphan: Path) -> None:
    store.blobs.put(b"orphan")  # an upload that will write its row a moment later
    assert store.leftovers.remove().blobs == 0
    assert orphan.read_bytes() == b"orphan"
    assert MIN_GRACE_S > YOUNG_S


def test_a_blob_that_is_put_before_its_removal_stays(
    store: Store, orphan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove = Blobs.remove

    def put_first(self: Blobs, digest: str, *, older_than_s: float) -> bool:
        store.blobs.put(b"orphan")  # it was marked a moment ago
        return remove(self, digest, older_than_s=older_than_s)

    monkeypatch.setattr(Blobs, "remove", put_first)
    assert store.leftovers.remove().blobs == 0
    assert orphan.read_bytes() == b"orphan"
    assert [path.name for path in orphan.parent.iterdir()] == [orphan.name]


def test_marks_of_what_went_are_no_names(store: Store, orphan: Path) -> None:
    assert store.leftovers.remove().blobs == 1
    assert store.leftovers.named_blobs() == set()


def test_blobs_in_s3_go_by_their_age(s3_url: str) -> None:
    blobs = Blobs(s3_url)
    digest = blobs.put(b"photo").digest
    assert [(name, size) for name, size, _ in blobs.stored()] == [(digest, 5)]
    assert not blobs.remove(digest, older_than_s=60.0)
    assert blobs.read(digest) == b"photo"
    assert blobs.remove(digest, older_than_s=-60.0)
    assert not blobs.remove(digest, older_than_s=-60.0)
    assert list(blobs.stored()) == []


def test_old_unfinished_files_and_folders_go(store: Store) -> None:
    home = store.home.folder
    old = [home / pattern.replace("*", "x") for pattern in UNFINISHED]
    for path in old:
        path.mkdir(parents=True)
        (path / "part").write_bytes(b"part")
        age(path / "part")
        age(path)
    young = home / "cache" / "export-young"
    young.mkdir()
    age(young)
    (young / "growing.zip").write_bytes(b"part")  # a folder is as young as what is in it
    removed = store.leftovers.remove()
    assert sorted(removed.files) == sorted(old)
    assert [path.exists() for path in (*old, young)] == [False] * len(old) + [True]


def test_what_was_made_of_gone_packages_and_versions_goes(
    store: Store, project: Project, package: Path, add_labelled
) -> None:
    """Also where they went on another machine, or while a kill -9 came in between."""
    add_labelled(project, 1)
    version = store.versions.create(project, preprocessing={}, augmentation={}, seed=1)
    model_id = store.models.publish("cats", package, workspace_id=project.workspace_id)
    there, gone = store.models.get(model_id).folder, "0" * 32
    kept = [
        store.home.packages / there,
        store.home.weights_zips / f"{there}.zip",
        store.home.version_pictures / version.id,
    ]
    outlived = [
        store.home.packages / gone,
        store.home.weights_zips / f"{gone}.zip",
        store.home.version_pictures / gone,
    ]
    young = store.home.packages / ("1" * 32)  # another process is publishing it
    young.mkdir()
    for path in (*kept[1:], *outlived):
        path.mkdir(parents=True)
    for path in (*kept, *outlived):
        age(path)
    assert store.leftovers.remove().files == tuple(outlived)
    assert [path.exists() for path in (*outlived, *kept, young)] == [False] * 3 + [True] * 4


def test_blobs_of_another_database_are_left_alone(
    store: Store, tmp_path: Path, orphan: Path
) -> None:
    """As where ATROUS_DATABASE_URL is forgotten: no row of the fresh database names a blob."""
    assert store.leftovers.remove(only_look=True).blobs == 1  # notes nothing
    assert store.leftovers.remove().blobs == 1
    photo = path_of(store, store.blobs.put(b"photo").digest)
    age(photo)
    fresh = f"sqlite:///{tmp_path / 'fresh.sqlite3'}"
    with open_store(tmp_path / "other", database=fresh, blobs=str(store.home.blobs)) as other:
        for only_look in (True, False):
            with pytest.raises(Conflict, match="ATROUS_DATABASE_URL"):
                other.leftovers.remove(only_look=only_look)
        assert photo.exists()
        (store.home.blobs / OWNER_FILE).unlink()  # they are handed over
        assert other.leftovers.remove().blobs == 1


def test_empty_stores_have_no_leftovers(store: Store) -> None:
    assert store.leftovers.remove() == Removed(0, 0, ())
