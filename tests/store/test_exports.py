import pytest

from atrous.store import Store
from atrous.store.blobs import Blob
from atrous.store.exports import EXPORT
from atrous.store.jobs import CANCELLED
from atrous.store.projects import Project
from atrous.store.versions import Version

BLOB = Blob("e" * 64, 5_000_000_000)


@pytest.fixture
def version(store: Store, project: Project, add_labelled) -> Version:
    add_labelled(project, 1)
    return store.versions.create(project, preprocessing={}, augmentation={}, seed=0)


def test_an_export_is_made_once(store: Store, version: Version) -> None:
    assert store.exports.find(version, "coco") is None
    assert store.exports.request(version, "coco").state == "working"
    assert store.exports.request(version, "coco").state == "working"
    jobs = store.jobs.list(kind=EXPORT)
    assert [job.payload for job in jobs] == [{"version_id": version.id, "format": "coco"}]
    claimed = store.jobs.claim("w:1", [EXPORT])
    assert claimed is not None
    store.jobs.progress(claimed.id, "w:1", {"fraction": 0.5})
    assert store.exports.request(version, "coco").progress == 0.5
    assert store.exports.ready_formats([version]) == {version.id: []}
    store.exports.finish(version, "coco", BLOB)
    ready = store.exports.request(version, "coco")
    assert (ready.state, ready.progress, ready.blob) == ("ready", 1.0, BLOB)
    assert store.exports.ready_formats([version]) == {version.id: ["coco"]}
    assert store.exports.find(version, "png-mask-semantic") is None


def test_a_failed_export_is_said_once_and_then_tried_again(store: Store, version: Version) -> None:
    store.exports.request(version, "coco")
    job = store.jobs.claim("w:1", [EXPORT])
    assert job is not None
    store.jobs.fail(job.id, "w:1", "the disk is full")
    failed = store.exports.request(version, "coco")
    assert (failed.state, failed.error) == ("failed", "the disk is full")
    assert store.exports.request(version, "coco").state == "working"
    assert len(store.jobs.list(kind=EXPORT)) == 2


def test_an_export_that_was_cancelled_says_so(store: Store, version: Version) -> None:
    store.exports.request(version, "coco")
    store.jobs.cancel(store.jobs.list(kind=EXPORT)[0].id)
    cancelled = store.exports.find(version, "coco")
    assert cancelled is not None
    assert (cancelled.state, cancelled.error) == ("failed", CANCELLED)
