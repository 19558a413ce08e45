import os
import threading
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from atrous.domain.errors import BadModelId, BadPackage, Conflict, NotFound
from atrous.domain.model_ids import ModelId
from atrous.store import Store, open_store
from atrous.store.models import Models
from atrous.store.projects import Project


def publish(store: Store, package: Path, project: str = "cats", version: int | None = None):
    workspace_id = store.workspaces.default().id
    return store.models.publish(project, package, version=version, workspace_id=workspace_id)


def folders(store: Store) -> set[str]:
    return {path.name for path in store.home.packages.iterdir()}


def test_versions_count_up(store: Store, package: Path) -> None:
    assert [str(publish(store, package)) for _ in range(3)] == ["cats/1", "cats/2", "cats/3"]
    assert str(publish(store, package, "dogs")) == "dogs/1"
    assert str(publish(store, package, "dogs", version=7)) == "dogs/7"
    assert str(publish(store, package, "dogs")) == "dogs/8"
    listed = [str(model.model_id) for model in store.models.list()]
    assert listed == ["cats/1", "cats/2", "cats/3", "dogs/1", "dogs/7", "dogs/8"]


def test_the_package_is_a_copy(store: Store, package: Path) -> None:
    model_id = publish(store, package)
    folder = store.models.folder(model_id)
    (package / "weights.onnx").write_bytes(b"changed")
    assert (folder / "weights.onnx").read_bytes() == b"weights"
    assert sorted(path.name for path in folder.iterdir()) == ["class_names.txt", "weights.onnx"]


def test_facts_travel(store: Store, package: Path) -> None:
    facts = {"miou": 0.9, "classes": ["background", "cät"]}
    workspace_id = store.workspaces.default().id
    model_id = store.models.publish("cats", package, workspace_id=workspace_id, facts=facts)
    assert store.models.get(model_id).facts == facts


def test_a_removed_model_is_gone_and_its_number_is_not_reused(store: Store, package: Path) -> None:
    publish(store, package)
    second = publish(store, package)
    model = store.models.get(second)
    folder = store.models.folder(second)
    zipped = store.home.weights_zips / f"{folder.name}.zip"
    zipped.parent.mkdir()
    zipped.write_bytes(b"weights")
    store.models.remove(model)
    assert not folder.exists()
    assert not zipped.exists()
    with pytest.raises(NotFound, match="cats/2"):
        store.models.get(second)
    with pytest.raises(NotFound):
        store.models.remove(model)
    assert str(publish(store, package)) == "cats/3"
    assert str(publish(store, package, version=2)) == "cats/2"  # asked for by number
    assert store.models.folder(second).name != folder.name


def test_a_taken_version_is_refused_without_a_trace(store: Store, package: Path) -> None:
    publish(store, package)
    before = folders(store)
    with pytest.raises(Conflict, match="cats/1"):
        publish(store, package, version=1)
    assert folders(store) == before


def test_a_project_belongs_to_one_workspace(store: Store, package: Path) -> None:
    publish(store, package)
    other = store.workspaces.create("acme")
    with pytest.raises(Conflict, match="another workspace"):
        store.models.publish("cats", package, workspace_id=other.id)


def test_a_platform_project_without_a_model_keeps_its_name(
    store: Store, stranger: Project, package: Path
) -> None:
    """Else no training of it could publish its model any more."""
    for _ in range(2):
        with pytest.raises(Conflict, match="another workspace"):
            publish(store, package, stranger.slug)
        store.trash.put_project(stranger.id)
    own = store.models.publish(stranger.slug, package, workspace_id=stranger.workspace_id)
    assert own.version == 1


def test_publications_at_once_get_different_versions(store: Store, package: Path) -> None:
    taken: list[int] = []

    def publish_some() -> None:
        with open_store(store.home.folder) as own:  # as another process would
            for _ in range(5):
                taken.append(publish(own, package).version)

    threads = [threading.Thread(target=publish_some) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == list(range(1, 21))


def test_links_and_folders_are_refused(store: Store, package: Path) -> None:
    (package / "secret").symlink_to("/etc/passwd")
    with pytest.raises(BadPackage, match="secret"):
        publish(store, package)
    (package / "secret").unlink()
    (package / "inner").mkdir()
    with pytest.raises(BadPackage, match="inner"):
        publish(store, package)
    (package / "inner").rmdir()
    os.mkfifo(package / "pipe")
    with pytest.raises(BadPackage, match="pipe"):
        publish(store, package)
    with pytest.raises(BadPackage, match="not a folder"):
        publish(store, package / "weights.onnx")
    assert folders(store) == set()


@pytest.mark.parametrize("project", ["../up", "UP", "1", "", "a/b"])
def test_bad_project_names_are_refused(store: Store, package: Path, project: str) -> None:
    with pytest.raises(BadModelId):
        publish(store, package, project)


def test_a_failing_database_leaves_no_folder(store: Store, package: Path, monkeypatch) -> None:
    workspace_id = store.workspaces.default().id

    def fail(*_: object) -> ModelId:
        raise OperationalError("insert", {}, Exception("disk full"))

    monkeypatch.setattr(Models, "_insert", fail)
    with pytest.raises(OperationalError):
        store.models.publish("cats", package, workspace_id=workspace_id)
    assert folders(store) == set()


def test_the_numbers_of_a_projects_versions_are_left_to_their_models(
    store: Store, project: Project, package: Path, add_labelled
) -> None:
    """Else a training on the version could never publish under the version's number."""
    add_labelled(project, 1)
    settings = {"preprocessing": {}, "augmentation": {}, "seed": 1}
    assert store.versions.create(project, **settings).number == 1
    assert str(publish(store, package, "roads")) == "roads/2"
    assert store.versions.create(project, **settings).number == 3
    assert str(publish(store, package, "roads")) == "roads/4"


def test_a_model_is_found_by_its_package(store: Store, package: Path) -> None:
    model = store.models.get(publish(store, package))
    assert store.models.by_folder(model.folder) == model
    store.models.remove(model)
    with pytest.raises(NotFound):
        store.models.by_folder(model.folder)
