import pytest

from atrous.domain.errors import Conflict, NotFound
from atrous.store import Store
from atrous.store.blobs import Blob
from atrous.store.projects import Project
from atrous.store.zip_imports import FORGOTTEN_AFTER_S, IMPORT, ImportWishes, ZipImports

WISHES = ImportWishes(split=None, batch="b", tags=("x",), overwrite=True)
ZIP, OTHER = Blob("a" * 64, 10), Blob("b" * 64, 11)


def test_an_import_waits_for_its_zip(store: Store, project: Project) -> None:
    job = store.zip_imports.announce(project, WISHES)
    assert store.zip_imports.is_waiting(job.id)
    assert store.jobs.claim("w", [IMPORT]) is None
    store.zip_imports.start(job.id, ZIP)
    claimed = store.jobs.claim("w", [IMPORT])
    assert claimed is not None
    assert claimed.payload == {
        "project_id": project.id,
        "split": None,
        "batch": "b",
        "tags": ["x"],
        "overwrite": True,
        "max_pixels": 100_000_000,
        "digest": ZIP.digest,
        "size_bytes": 10,
    }


def test_the_zip_is_kept_until_the_import_is_over(store: Store, project: Project) -> None:
    blob = store.blobs.put(b"a zip")
    job = store.zip_imports.announce(project, WISHES)
    store.zip_imports.start(job.id, blob)
    store.jobs.claim("w", [IMPORT])
    assert store.leftovers.remove(grace_s=0.0, only_look=True).blobs == 0
    store.jobs.finish(job.id, "w", {})
    assert store.leftovers.remove(grace_s=0.0, only_look=True).blobs == 1


def test_one_zip_starts_it(store: Store, project: Project) -> None:
    job = store.zip_imports.announce(project, WISHES)
    store.zip_imports.start(job.id, ZIP)
    store.zip_imports.start(job.id, ZIP)  # a client that did not see the answer
    with pytest.raises(Conflict, match="another zip"):
        store.zip_imports.start(job.id, OTHER)


def test_another_workspace_sees_nothing(store: Store, project: Project) -> None:
    job = store.zip_imports.announce(project, WISHES)
    assert store.zip_imports.get(project.workspace_id, job.id).id == job.id
    other = store.workspaces.create("elsewhere")
    with pytest.raises(NotFound):
        store.zip_imports.get(other.id, job.id)
    with pytest.raises(NotFound):
        store.zip_imports.start("absent", ZIP)
    another_kind = store.jobs.enqueue("export", {}, workspace_id=project.workspace_id)
    with pytest.raises(NotFound):
        store.zip_imports.get(project.workspace_id, another_kind.id)


def test_those_without_a_zip_are_forgotten(store: Store, project: Project) -> None:
    now = [1000.0]
    imports = ZipImports(store.zip_imports._database, lambda: now[0])
    waiting, started = imports.announce(project, WISHES), imports.announce(project, WISHES)
    imports.start(started.id, ZIP)
    now[0] += FORGOTTEN_AFTER_S + 1
    imports.announce(project, WISHES)
    assert imports.get(project.workspace_id, started.id).state == "queued"
    with pytest.raises(NotFound):
        imports.get(project.workspace_id, waiting.id)
