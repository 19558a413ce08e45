"""A zip of a data set into a project: every photo with its label, what is broken told by name."""

import contextlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from atrous.datasets.label_files import PhotoFiles
from atrous.datasets.labelled_files import FileFault, FoundLabel, LabelledFiles
from atrous.datasets.zip_files import CheckedZip
from atrous.domain.errors import BadDataset, BadImage, BadInput, Conflict, DiskFull, NotFound
from atrous.images.decode import MAX_PIXELS
from atrous.jobs.settling import FractionReport
from atrous.store.blobs import Blobs
from atrous.store.disk_full import naming_full_disk
from atrous.store.images import Image, NewImage
from atrous.store.jobs import Job
from atrous.store.label_maps import store_label_map
from atrous.store.opening import Store
from atrous.store.photo_files import PhotoFile, plain_name, store_photo
from atrous.store.projects import Project

DEFAULT_SPLIT = "train"
SHOWN_FAULTS = 1000  # in a job's result; all of them are counted


@dataclass(frozen=True)
class _Read:
    """A photo whose blobs are stored, and its label, as far as they could be read."""

    files: PhotoFiles
    photo: PhotoFile | None
    label: FoundLabel | None
    fault: FileFault | None


@dataclass
class _Outcome:
    """What an import has come to so far."""

    images: int = 0  # new ones
    duplicates: int = 0  # that the project had already
    labels: int = 0
    unlabelled: int = 0
    faults: list[FileFault] = field(default_factory=list)

    def as_result(self) -> dict[str, Any]:
        shown = [vars(fault) for fault in self.faults[:SHOWN_FAULTS]]
        return {**vars(self), "faults": shown, "faultCount": len(self.faults)}


def import_zip(job: Job, worker: str, store: Store) -> dict[str, Any]:
    """Import photo by photo. One that was broken off goes on: what is there is a duplicate."""
    project = store.projects.by_id(job.workspace_id, job.payload["project_id"])
    with tempfile.TemporaryDirectory(prefix="import-", dir=store.home.cache) as folder:
        path = Path(folder) / "set.zip"
        with naming_full_disk(), path.open("wb") as file:
            for piece in store.blobs.stream(job.payload["digest"]):
                file.write(piece)
        with CheckedZip(path) as archive:
            known = store.projects.class_names(project)
            files = LabelledFiles(archive.names, archive.read, known)
            photos = files.files.photos
            if not photos:
                raise BadDataset("the zip has no photos; put them in, with their labels beside")
            report = FractionReport(job, worker, store, total=len(photos))
            outcome = _Outcome(faults=list(files.faults))
            max_pixels = job.payload.get("max_pixels", MAX_PIXELS)
            with _telling_what_is_kept(outcome, len(photos)):
                for read in _read_all(store.blobs, archive, files, max_pixels):
                    _keep(store, project, job.payload, read, outcome)
                    report.step()
    if not outcome.images + outcome.duplicates:
        first = outcome.faults[0]
        raise BadDataset(
            f"no photo of the zip could be read; the first: {first.file}: {first.message}"
        )
    return outcome.as_result()


@contextlib.contextmanager
def _telling_what_is_kept(outcome: _Outcome, total: int) -> Iterator[None]:
    """Of a full disk, which says of what it refused that nothing was stored: of photos before it
    that is not so.
    """
    try:
        yield
    except DiskFull as error:
        kept = outcome.images + outcome.duplicates
        raise DiskFull(
            f"the disk, or what a file may have of it, is full: {kept} of {total} photos are "
            "stored and stay; free some space and send the zip again, which adds the others"
        ) from error


def _read_all(
    blobs: Blobs, archive: CheckedZip, files: LabelledFiles, max_pixels: int
) -> Iterator[_Read]:
    """Read photos in threads, in their order, a few ahead of what is kept."""
    work = partial(_read_photo, blobs, archive, files, max_pixels)
    photos, ahead = files.files.photos, 2 * (os.cpu_count() or 1)
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:  # decoding leaves Python's lock
        for begin in range(0, len(photos), ahead):
            yield from pool.map(work, photos[begin : begin + ahead])


def _read_photo(
    blobs: Blobs, archive: CheckedZip, files: LabelledFiles, max_pixels: int, photo: PhotoFiles
) -> _Read:
    try:
        stored = store_photo(archive.read(photo.path), blobs, max_pixels=max_pixels)
    except (BadDataset, BadImage) as error:
        return _Read(photo, None, None, FileFault(photo.path, str(error)))
    try:
        return _Read(photo, stored, files.label_of(photo, stored.size), None)
    except BadInput as error:
        file = photo.mask or photo.text or photo.path
        return _Read(photo, stored, None, FileFault(file, str(error).removeprefix(f"{file}: ")))


def _keep(
    store: Store, project: Project, wishes: dict[str, Any], read: _Read, outcome: _Outcome
) -> None:
    """Write the rows of one photo."""
    if read.fault:
        outcome.faults.append(read.fault)
    if read.photo is None:
        return
    try:
        image, is_new = store.images.add(project, _new_image(read, read.photo, wishes))
    except (BadInput, NotFound) as error:  # a name or tag that can't be kept, a batch that went
        outcome.faults.append(FileFault(read.files.path, str(error)))
        return
    outcome.images += is_new
    outcome.duplicates += not is_new
    if read.label is None:
        outcome.unlabelled += 1
        return
    try:
        _label(store, project, image, read.label, overwrite=wishes["overwrite"])
        outcome.labels += 1
    except (BadInput, Conflict, NotFound) as error:  # not found: the photo was removed meanwhile
        outcome.faults.append(FileFault(read.label.file, f"{read.files.path}: {error}"))


def _new_image(read: _Read, photo: PhotoFile, wishes: dict[str, Any]) -> NewImage:
    tags: Sequence[str] = wishes["tags"]
    return NewImage(
        name=plain_name(read.files.path, photo),
        digest=photo.digest,
        thumb_digest=photo.thumb_digest,
        media_type=photo.media_type,
        size_bytes=photo.size_bytes,
        height=photo.size.height,
        width=photo.size.width,
        split=wishes["split"] or read.files.split or DEFAULT_SPLIT,
        batch=wishes["batch"],
        tags=tuple(tags),
    )


def _label(
    store: Store, project: Project, image: Image, found: FoundLabel, *, overwrite: bool
) -> None:
    """Keep a label; the project's classes come in the order of the data set's own list."""
    if overwrite or not image.annotated:
        store.projects.number_classes(project, found.class_names)
    new = store_label_map(
        store.projects, store.blobs, project, found.label_map, found.class_names, found.file
    )
    store.labels.save(image, new, overwrite=overwrite)
