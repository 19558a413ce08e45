"""The photos that a search finds, with their labels, as one zip in the blobs."""

import hashlib
import tempfile
import time
from collections.abc import Iterator
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


def export_search(job: Job, worker: str, store: Store) -> dict[str, Any]:
    """Write the zip beside, store it; the job's result says where it is."""
    project = store.projects.by_id(job.workspace_id, job.payload["project_id"])
    found = store.image_search.find_all(project, ImageQuery(**job.payload["query"]))
    if not found:
        raise BadInput("the search finds no photo; look with /search/v1 what it finds")
    report = FractionReport(job, worker, store, total=len(found))
    with tempfile.TemporaryDirectory(prefix="export-", dir=store.home.cache) as folder:
        path = Path(folder) / "export.zip"
        photos = _photos(store, found, report)
        names = store.projects.class_names(project)
        write_zip(path, job.payload["format"], names, photos, _facts(job, found))
        blob = store.blobs.put_file(path)
    return {"digest": blob.digest, "size_bytes": blob.size_bytes, "images": len(found)}


def _facts(job: Job, found: list[Image]) -> ExportFacts:
    created = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(job.created_at))
    unlabelled = sum(not image.annotated for image in found)
    notes = (f"photos without a label: {unlabelled}, ignored as a whole",) if unlabelled else ()
    return ExportFacts(title=job.payload["name"], created=created, notes=notes)


def _photos(store: Store, found: list[Image], report: FractionReport) -> Iterator[ExportedPhoto]:
    """Read photos one by one. What nobody has labelled is ignored, not background."""
    for image in found:
        label = store.labels.get(image)
        if label is None:
            label_map = np.full((image.height, image.width), IGNORE_ID, np.uint8)
        else:
            stored = store.blobs.read(label.digest)
            label_map = decode_label_map(stored, max_pixels=image.height * image.width)
        about = f"{image.name}/{image.digest}/{label.digest if label else ''}"
        yield ExportedPhoto(
            name=image.name,
            split=image.split,
            digest=hashlib.sha256(about.encode()).hexdigest(),
            media_type=image.media_type,
            data=store.blobs.read(image.digest),
            label_map=label_map,
        )
        report.step()
