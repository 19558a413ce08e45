import errno
import os
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import delete

from atrous.domain.errors import BadPackage, DiskFull
from atrous.domain.model_ids import ModelId
from atrous.store import Store, open_store
from atrous.store.blobs import Blobs
from atrous.store.database import Database, model_files
from atrous.store.package_files import PackageFile

CONTENT = {"class_names.txt": b"background\ncat\n", "weights.onnx": b"weights"}


@dataclass
class Machines:
    """Two data folders with one database and one place for blobs between them."""

    database: str
    publishing: Store
    serving: Store

    def forget_files(self) -> None:
        """As a release that knew no blobs of packages would have left it."""
        database = Database(self.database)
        with database.write() as connection:
            connection.execute(delete(model_files))
        database.close()
        self.publishing.leftovers.remove(grace_s=-60.0)


@pytest.fixture(params=["sqlite and a folder", "postgresql and s3"])
def machines(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Machines]:
    if request.param == "sqlite and a folder":
        database = f"sqlite:///{request.getfixturevalue('new_home') / 'atrous.sqlite3'}"
        blobs = str(tmp_path / "blobs")
    else:
        database = request.getfixturevalue("empty_postgres")
        blobs = request.getfixturevalue("s3_url")
    with (
        open_store(tmp_path / "first", database=database, blobs=blobs) as first,
        open_store(tmp_path / "second", database=database, blobs=blobs) as second,
    ):
        yield Machines(database, first, second)


def publish(store: Store, package: Path, project: str = "cats") -> ModelId:
    return store.models.publish(project, package, workspace_id=store.workspaces.default().id)


def content_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def left_in(store: Store) -> list[str]:
    return [path.name for path in store.home.packages.iterdir()]


def files_of(store: Store, model_id: ModelId) -> list[PackageFile]:
    return store.models._files.files(store.models.get(model_id).folder)


def test_what_one_machine_publishes_another_one_serves(machines: Machines, package: Path) -> None:
    model_id = publish(machines.publishing, package)
    assert left_in(machines.serving) == []
    folder = machines.serving.models.folder(model_id)
    assert folder.parent == machines.serving.home.packages
    assert content_of(folder) == CONTENT
    assert left_in(machines.serving) == left_in(machines.publishing) == [folder.name]
    assert machines.serving.models.folder(model_id) == folder  # it is there now
    assert [file.size_bytes for file in files_of(machines.serving, model_id)] == [15, 7]


def test_a_lost_folder_is_made_again(machines: Machines, package: Path) -> None:
    model_id = publish(machines.publishing, package)
    folder = machines.publishing.models.folder(model_id)
    shutil.rmtree(folder)
    assert content_of(machines.publishing.models.folder(model_id)) == CONTENT


def test_a_removed_model_leaves_no_blobs(machines: Machines, package: Path) -> None:
    first, second = (publish(machines.publishing, package, name) for name in ("cats", "dogs"))
    store = machines.publishing
    store.models.remove(store.models.get(first))
    assert store.leftovers.remove(grace_s=-60.0).blobs == 0  # the other one has the same content
    assert content_of(machines.serving.models.folder(second)) == CONTENT
    store.models.remove(store.models.get(second))
    assert store.leftovers.remove(grace_s=-60.0).blobs == len(CONTENT)
    assert list(store.blobs.stored()) == []
    machines.serving.leftovers.remove(grace_s=-60.0)
    assert left_in(machines.serving) == []


def test_older_packages_are_taken_over(machines: Machines, package: Path) -> None:
    model_id = publish(machines.publishing, package)
    machines.forget_files()
    assert list(machines.publishing.blobs.stored()) == []
    assert content_of(machines.publishing.models.folder(model_id)) == CONTENT  # served all the same
    with pytest.raises(BadPackage, match="atrous clean"):
        machines.serving.models.folder(model_id)
    assert machines.serving.models.take_over_packages() == 0  # it has no such folder
    assert machines.publishing.models.take_over_packages() == 1
    assert machines.publishing.models.take_over_packages() == 0
    assert content_of(machines.serving.models.folder(model_id)) == CONTENT
    assert content_of(machines.publishing.models.folder(model_id)) == CONTENT


@pytest.mark.parametrize("harm", ["lost", "damaged"])
def test_a_package_whose_blob_is_harmed_is_not_served(
    machines: Machines, package: Path, harm: str
) -> None:
    model_id = publish(machines.publishing, package)
    blobs = machines.publishing.blobs
    path = blobs._path(files_of(machines.publishing, model_id)[1].digest)
    if harm == "lost":
        blobs._files.rm_file(path)
    else:
        blobs._files.pipe_file(path, b"weightz")
    with pytest.raises(BadPackage, match="can't be fetched"):
        machines.serving.models.folder(model_id)
    assert left_in(machines.serving) == []


def test_several_fetch_a_package_at_once(machines: Machines, package: Path) -> None:
    model_id = publish(machines.publishing, package)
    found: list[dict[str, bytes]] = []
    threads = [
        threading.Thread(
            target=lambda: found.append(content_of(machines.serving.models.folder(model_id)))
        )
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [CONTENT] * 4
    assert len(left_in(machines.serving)) == 1


def test_another_one_may_fetch_it_in_between(
    machines: Machines, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model_id = publish(machines.publishing, package)
    give = Blobs.give

    def fetched_by_another(self: Blobs, digest: str, target: Path) -> None:
        monkeypatch.undo()
        machines.serving.models.folder(model_id)
        give(self, digest, target)

    monkeypatch.setattr(Blobs, "give", fetched_by_another)
    folder = machines.serving.models.folder(model_id)
    assert content_of(folder) == CONTENT
    assert left_in(machines.serving) == [folder.name]


def test_on_one_disk_a_package_takes_its_room_once(new_home: Path, package: Path) -> None:
    with open_store(new_home) as store:
        model_id = publish(store, package)
        for file in files_of(store, model_id):
            path = store.models.folder(model_id) / file.name
            assert path.samefile(store.blobs._path(file.digest))
        shutil.rmtree(store.models.folder(model_id))
        for file in files_of(store, model_id):
            path = store.models.folder(model_id) / file.name
            assert path.samefile(store.blobs._path(file.digest))
        assert list(store.home.folder.rglob("*.tmp")) == []


@pytest.mark.parametrize("number", [errno.EXDEV, errno.EPERM])
def test_where_files_have_one_name_only_there_are_copies(
    new_home: Path, package: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    with open_store(new_home) as store:
        model_id = publish(store, package)
        shutil.rmtree(store.models.folder(model_id))
        assert content_of(store.models.folder(model_id)) == CONTENT


def test_a_full_disk_leaves_no_part_of_a_package(
    machines: Machines, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model_id = publish(machines.publishing, package)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def no_links(*_: object) -> None:
        raise OSError(errno.EXDEV, "another disk")

    with monkeypatch.context() as patched:
        patched.setattr(os, "link", no_links)
        patched.setattr("atrous.store.blobs.os.fsync", full)
        with pytest.raises(DiskFull):
            machines.serving.models.folder(model_id)
    assert left_in(machines.serving) == []
    assert content_of(machines.serving.models.folder(model_id)) == CONTENT


def test_a_publication_that_fails_publishes_nothing(
    machines: Machines, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    share = Blobs.share

    def fail_at_the_network(self: Blobs, file: Path) -> object:
        if file.name == "weights.onnx":
            raise OSError("the bucket does not answer")
        return share(self, file)

    with monkeypatch.context() as patched:
        patched.setattr(Blobs, "share", fail_at_the_network)
        with pytest.raises(OSError, match="bucket"):
            publish(machines.publishing, package)
    assert machines.publishing.models.list() == []
    assert left_in(machines.publishing) == []
    assert machines.publishing.leftovers.remove(grace_s=-60.0).blobs == 1


def test_names_that_no_database_keeps_are_refused(new_home: Path, package: Path) -> None:
    with open_store(new_home) as store:
        with pytest.raises(BadPackage, match="empty"):
            publish(store, store.home.cache)
        (package / "line\nbreak").write_bytes(b"")
        with pytest.raises(BadPackage, match="rename it"):
            publish(store, package)
        assert left_in(store) == []
