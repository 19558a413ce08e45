"""A version as one zip in the blobs."""

import hashlib
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from atrous.datasets.version_steps import steps_in_words
from atrous.datasets.zip_exports import ExportedPhoto, ExportFacts, write_zip
from atrous.domain.errors import Conflict
from atrous.jobs.photo_blobs import label_data, photo_data
from atrous.jobs.settling import FractionReport
from atrous.masks.png import decode_label_map
from atrous.store.blobs import Blobs
from atrous.store.jobs import Job
from atrous.store.opening import Store
from atrous.store.projects import Project
from atrous.store.versions import FrozenImage, Version


def export_version(job: Job, worker: str, store: Store) -> dict[str, Any]:
    """Write the zip beside, store it, then say that it is there."""
    version = store.versions.by_id(job.workspace_id, job.payload["version_id"])
    if version.state != "ready":
        raise Conflict(f"version {version.number} is {version.state}; export it when it is ready")
    wanted = job.payload["format"]
    project = store.projects.by_id(job.workspace_id, version.project_id)
    facts = facts_of(project, version)
    images = store.versions.images(version)
    report = FractionReport(job, worker, store, total=len(images))
    with tempfile.TemporaryDirectory(prefix="export-", dir=store.home.cache) as folder:
        path = Path(folder) / "export.zip"
        photos = exported_photos(store.blobs, images, report.step)
        write_zip(path, wanted, version.class_names, photos, facts)
        blob = store.blobs.put_file(path)
    store.exports.finish(version, wanted, blob)
    return {"digest": blob.digest, "size_bytes": blob.size_bytes}


def facts_of(project: Project, version: Version) -> ExportFacts:
    """What the READMEs of an export say."""
    created = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(version.created_at))
    return ExportFacts(
        title=f"{project.name} v{version.number}",
        created=created,
        steps=steps_in_words(version.preprocessing, version.augmentation),
        group=project.annotation,
    )


def exported_photos(
    blobs: Blobs, images: Sequence[FrozenImage], step: Callable[[], None]
) -> Iterator[ExportedPhoto]:
    """Read the pictures of a version one by one; `step` is called after each."""
    for image in images:
        both = f"{image.name}/{image.image_digest}/{image.label_digest}"
        yield ExportedPhoto(
            name=image.name,
            split=image.split,
            digest=hashlib.sha256(both.encode()).hexdigest(),
            media_type=image.media_type,
            data=photo_data(blobs, image),
            label_map=decode_label_map(label_data(blobs, image), max_pixels=image.pixels),
        )
        step()
