from types import ModuleType

from atrous.jobs.dataset_child import run
from atrous.store.image_search import ImageQuery
from atrous.store.jobs import CHANGE_PHOTOS
from atrous.store.opening import Store


def test_changes_made_twice_leave_what_they_left(store: Store, dataset_project: ModuleType) -> None:
    """As a worker does that takes over from one that died."""
    project = dataset_project.fill_project(store, count=2)
    page = store.image_search.find(project, ImageQuery())
    first, second = page.images
    change = {"metadata": {"a": 1}, "remove_metadata": [], "add_tags": ["x"], "remove_tags": []}
    undo = {"metadata": {}, "remove_metadata": ["a"], "add_tags": [], "remove_tags": ["x"]}
    updates = [
        {"image": first.id, **change},
        {"image": second.id, **change},
        {"image": second.id, **undo},
        {"image": "absent", **change},
    ]
    store.jobs.enqueue(CHANGE_PHOTOS, {"updates": updates}, workspace_id=project.workspace_id)
    job = store.jobs.claim("w")
    assert job is not None
    for _ in range(2):
        result = run(job, "w", store)
        assert (result["succeeded"], result["failed"]) == (3, 1)
        assert [fault["imageId"] for fault in result["errors"]] == ["absent"]
        found = [store.images.get(project, one.id) for one in (first, second)]
        assert [image.user_metadata for image in found] == [{"a": 1}, {}]
        assert ["x" in image.tags for image in found] == [True, False]
