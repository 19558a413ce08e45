"""The photos that a search finds, with their labels, as one zip in the blobs."""

import hashlib
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from atrous.datasets.zip_exports import ExportedPhoto, ExportFacts, write_zip
from atrous.domain.classes import IGNORE_ID
from atrous.domain.errors import BadInput
from atrous.jobs.settling import FractionReport
from atrous.masks.png import decode_label_map
from atrous.store.image_search import ImageQuery
from atrous.store.images import Image
from atrous.store.jobs import Job
from atrous.store.opening import Store
from atrous.store.projects import Project


def export_search(job: Job, worker: str, store: Store) -> dict[str, Any]:
    """Write the zip beside, store it; the job's result says where it is."""
    project = store.projects.by_id(job.workspace_id, job.payload["project_id"])
    found = store.image_search.find_all(project, ImageQuery(**job.payload["query"]))
    if not found:
        raise BadInput("the search finds no photo; look with /search/v1 what it finds")
    report = FractionReport(job, worker, store, total=len(found))
    with tempfile.TemporaryDirectory(prefix="export-", dir=store.home.cache) as folder:
        path = Path(folder) / "export.zip"
        labels = {image.id: _digest_of_label(store, image) for image in found}
        names = store.projects.class_names(project)  # after the labels: classes are only added
        photos = _photos(store, found, labels, report)
        write_zip(path, job.payload["format"], names, photos, _facts(job, project, labels))
        blob = store.blobs.put_file(path)
    return {"digest": blob.digest, "size_bytes": blob.size_bytes, "images": len(found)}


def _digest_of_label(store: Store, image: Image) -> str | None:
    label = store.labels.get(image)
    return label.digest if label else None


def _facts(job: Job, project: Project, labels: Mapping[str, str | None]) -> ExportFacts:
    created = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(job.created_at))
    unlabelled = sum(digest is None for digest in labels.values())
    notes = (f"photos without a label: {unlabelled}, ignored as a whole",) if unlabelled else ()
    return ExportFacts(job.payload["name"], created, notes, group=project.annotation)


def _photos(
    store: Store, found: list[Image], labels: Mapping[str, str | None], report: FractionReport
) -> Iterator[ExportedPhoto]:
    """Read photos one by one. What nobody has labelled is ignored, not background.

    labels: the digest of each photo's label, by the photo's id.
    """
    for image in found:
        label_digest = labels[image.id]
        if label_digest is None:
            label_map = np.full((image.height, image.width), IGNORE_ID, np.uint8)
        else:
            stored = store.blobs.read(label_digest)
            label_map = decode_label_map(stored, max_pixels=image.height * image.width)
        about = f"{image.name}/{image.digest}/{label_digest or ''}"
        yield ExportedPhoto(
            name=image.name,
            split=image.split,
            digest=hashlib.sha256(about.encode()).hexdigest(),
            media_type=image.media_type,
            data=store.blobs.read(image.digest),
            label_map=label_map,
        )
        report.step()
