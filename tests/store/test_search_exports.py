import pytest

from atrous.domain.errors import NotFound
from atrous.store import Store
from atrous.store.image_search import ImageQuery
from atrous.store.projects import Project
from atrous.store.search_exports import EXPORT_SEARCH, KEPT_S, SearchExports


def test_an_export_is_asked_for_and_found(
    store: Store, project: Project, stranger: Project
) -> None:
    made = store.search_exports.request(project, ImageQuery(tag="rain"), "coco", "Rainy")
    job = store.jobs.claim("w", [EXPORT_SEARCH])
    assert job is not None
    assert ImageQuery(**job.payload["query"]) == ImageQuery(tag="rain")
    assert store.search_exports.get(project.workspace_id, made.id).id == job.id
    with pytest.raises(NotFound):
        store.search_exports.get(stranger.workspace_id, made.id)


def test_an_old_export_is_forgotten_with_its_zip(
    store: Store, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = store.search_exports.request(project, ImageQuery(), "coco", "All")
    store.jobs.claim("w", [EXPORT_SEARCH])
    blob = store.blobs.put(b"zip")
    store.jobs.finish(made.id, "w", {"digest": blob.digest})
    store.leftovers.remove(grace_s=0.0)
    assert store.blobs.read(blob.digest) == b"zip"
    now = store.jobs.get(made.id).finished_at
    assert now is not None
    monkeypatch.setattr("atrous.store.leftovers.time.time", lambda: now + KEPT_S + 10)
    store.leftovers.remove(grace_s=0.0)
    with pytest.raises(NotFound):
        store.blobs.read(blob.digest)
    monkeypatch.undo()
    later = SearchExports(store._database, clock=lambda: now + KEPT_S + 10)
    with pytest.raises(NotFound):
        later.get(project.workspace_id, made.id)


def test_all_that_is_found_is_given_oldest_first(
    store: Store, project: Project, add_image, add_labelled
) -> None:
    for number in range(3):
        add_image(project, number)
    add_labelled(project, 3, [1], tags=("rain",))
    found = store.image_search.find_all(project, ImageQuery(limit=1))
    assert [image.name for image in found] == [f"photo_{number:03}.jpg" for number in range(4)]
    tagged = store.image_search.find_all(project, ImageQuery(tag="rain"))
    assert [(image.name, image.tags) for image in tagged] == [("photo_003.jpg", ("rain",))]
