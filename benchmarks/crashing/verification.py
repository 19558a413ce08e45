"""After a restart: is everything there that was acknowledged, and nothing half there?"""

import io
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import httpx
import numpy as np

from atrous.domain.errors import BadPackage, DamagedBlob, NotFound
from atrous.masks.png import decode_label_map
from atrous.packages.directory import read_package
from atrous.store import Store
from atrous.store.leftovers import UNFINISHED
from atrous.store.models import first_runs
from crashing.ledger import Ledger, Upload

WORKSPACE = "default"
PAGE = 250
DOWNLOADED = 5  # uploads that are fetched by HTTP after each kill
PHOTO_LIMIT_S = 60.0


class Verification:
    """Compares the ledger with the server's answers and the store's content."""

    def __init__(self, url: str, key: str, store: Store, ledger: Ledger) -> None:
        """Ask a server that runs, and read its store beside it."""
        self._http = httpx.Client(
            base_url=url, params={"api_key": key}, trust_env=False, timeout=PHOTO_LIMIT_S
        )
        self._links = httpx.Client(trust_env=False, timeout=PHOTO_LIMIT_S)  # they need no key
        self._store, self._ledger = store, ledger
        self._seen: set[tuple[str, bool]] = set()  # uploads whose bytes were compared

    def close(self) -> None:
        """Close the connections."""
        self._http.close()
        self._links.close()

    def after_a_crash(self) -> list[str]:
        """What is wrong; bytes are compared for what was acknowledged since the last time."""
        with self._ledger.lock:
            uploads = list(self._ledger.uploads.values())
        new = [upload for upload in uploads if _state(upload) not in self._seen]
        found = [*self._listed(uploads), *self._same_bytes(new), *self._whole_versions()]
        self._seen.update(map(_state, uploads))
        return [*found, *self._whole_models()]

    def at_the_end(self) -> list[str]:
        """The same for all that was ever acknowledged, with every export, model and blob."""
        self._seen.clear()
        return [
            *self.after_a_crash(),
            *self._whole_exports(),
            *self._whole_searches(),
            *self._predicting_models(),
            *self._whole_blobs(),
        ]

    def _listed(self, uploads: Iterable[Upload]) -> Iterator[str]:
        """Every photo is on a page of its project, and says that it is labelled."""
        wanted = list(uploads)
        for project in {upload.project for upload in wanted}:
            labelled: dict[str, bool] = {}
            while True:
                body = {"offset": len(labelled), "limit": PAGE, "fields": ["id", "labels"]}
                page = self._http.post(f"/default/{project}/search", json=body).json()["results"]
                labelled.update((entry["id"], bool(entry["labels"])) for entry in page)
                if len(page) < PAGE:
                    break
            for upload in wanted:
                if upload.project != project:
                    continue
                if upload.image_id not in labelled:
                    yield f"image {upload.image_id} is lost"
                elif upload.label is not None and not labelled[upload.image_id]:
                    yield f"the label of image {upload.image_id} is lost"

    def _same_bytes(self, uploads: Sequence[Upload]) -> Iterator[str]:
        """All in the store, which a server under load does not slow down; some by HTTP, too."""
        workspace = self._store.workspaces.default()
        for upload in uploads:
            project = self._store.projects.get(workspace.id, upload.project)
            try:
                image = self._store.images.get(project, upload.image_id)
                if self._store.blobs.read(image.digest) != upload.file:
                    yield f"image {upload.image_id} has changed"
                self._store.blobs.read(image.thumb_digest)
                label = self._store.labels.get(image)
                if upload.label is not None and not (
                    label and _shows(self._store.blobs.read(label.digest), upload)
                ):
                    yield f"the label of image {upload.image_id} has changed"
            except (DamagedBlob, NotFound) as error:
                yield f"image {upload.image_id}: {error}"
        yield from self._same_downloads(uploads[-DOWNLOADED:])

    def _same_downloads(self, uploads: Iterable[Upload]) -> Iterator[str]:
        for upload in uploads:
            path = f"/default/{upload.project}/images/{upload.image_id}"
            answer = self._http.get(path)
            if answer.status_code != 200:
                yield f"image {upload.image_id}: {answer.status_code}"
                continue
            urls = answer.json()["image"]["urls"]
            if self._download(urls["original"]) != upload.file:
                yield f"image {upload.image_id} is served changed"
            if not self._download(urls["thumb"]):
                yield f"the thumbnail of {upload.image_id} is lost"
            if upload.label is not None:
                mask = self._download(urls.get("annotation", ""))
                if not mask or not _shows(mask, upload):
                    yield f"the label of image {upload.image_id} is served changed"

    def _download(self, url: str) -> bytes:
        answer = self._links.get(url) if url else None
        return answer.content if answer is not None and answer.status_code == 200 else b""

    def _whole_versions(self) -> Iterator[str]:
        with self._ledger.lock:
            requested, ready = set(self._ledger.requested), dict(self._ledger.versions)
        for project, number in sorted(requested):
            answer = self._http.get(f"/default/{project}/{number}")
            if answer.status_code != 200:
                yield f"version {project}/{number}: {answer.status_code}"
                continue
            version = answer.json()["version"]
            if (project, number) in ready and version["generating"]:
                yield f"version {project}/{number} was ready and is not any more"
        workspace = self._store.workspaces.default()
        for project in self._store.projects.list(workspace.id):
            for version in self._store.versions.list(project):
                made = len(self._store.versions.images(version))
                wanted = version.images if version.state == "ready" else 0
                if made != wanted:
                    yield f"version {project.slug}/{version.number} shows {made} of {wanted} photos"

    def _whole_models(self) -> Iterator[str]:
        published = self._store.models.list()
        first = first_runs(published)  # the others of a version are known by their slugs
        ids = {
            str(model.model_id) if model.folder in first else f"{WORKSPACE}/{model.slug}"
            for model in published
        }
        with self._ledger.lock:
            lost = self._ledger.models - ids
        yield from (f"model {model_id} is lost" for model_id in sorted(lost))
        for model in published:
            try:
                read_package(self._store.models.package_folder(model.folder))
            except BadPackage as error:
                yield f"model {model.slug} is published and not whole: {error}"

    def _whole_exports(self) -> Iterator[str]:
        for (project, number), link in sorted(self._ledger.exports.items()):
            content = self._download(link)
            if not content:
                yield f"export of {project}/{number} is lost"
                continue
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                if (
                    archive.testzip()
                    or _masks_in(archive) != self._ledger.versions[project, number]
                ):
                    yield f"export of {project}/{number} is not whole"

    def _whole_searches(self) -> Iterator[str]:
        for number, export in sorted(self._ledger.searches.items()):
            content = self._download(export.link)
            if not content:
                yield f"search export {number} is lost"
                continue
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                if archive.testzip() or _masks_in(archive) != export.images:
                    yield f"search export {number} is not whole"

    def _predicting_models(self) -> Iterator[str]:
        photo = next(iter(self._ledger.uploads.values())).file
        for model_id in sorted(self._ledger.models):
            answer = self._http.post(f"/{model_id}", files={"file": ("photo.png", photo)})
            if answer.status_code != 200 or "segmentation_mask" not in answer.json():
                yield f"model {model_id} does not predict: {answer.status_code}"

    def _whole_blobs(self) -> Iterator[str]:
        """Each blob that any row names is read to its end, which compares it with its digest."""
        for digest in sorted(self._store.leftovers.named_blobs()):
            try:
                self._store.blobs.read(digest)
            except (DamagedBlob, NotFound) as error:
                yield str(error)


def _masks_in(archive: zipfile.ZipFile) -> int:
    return sum(name.endswith("_mask.png") for name in archive.namelist())


def _shows(mask: bytes, upload: Upload) -> bool:
    """Whether a PNG is the label of an upload."""
    return upload.label is not None and np.array_equal(decode_label_map(mask), upload.label)


def unfinished_files(home: Path) -> list[str]:
    """What killed processes left behind."""
    return [str(path.relative_to(home)) for pattern in UNFINISHED for path in home.glob(pattern)]


def _state(upload: Upload) -> tuple[str, bool]:
    return upload.image_id, upload.label is not None
