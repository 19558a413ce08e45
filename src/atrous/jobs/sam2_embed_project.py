"""The job that embeds the photos of a project: a row in the queue, worked off by the worker."""

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from atrous.domain.errors import BadInput
from atrous.jobs.sam2_embed import EmbedProgress, embed_photos, photos_of_project
from atrous.jobs.settling import unsaid_in_outages
from atrous.sam2.embedding_cache import EmbeddingCache
from atrous.sam2.models import find_by_name
from atrous.sam2.segmenter import InteractiveSegmenter
from atrous.store.jobs import Job
from atrous.store.opening import Store

REPORT_S = 1.0  # between two writes of progress: every one is flushed to the disk


def embed_project(job: Job, worker: str, store: Store) -> dict[str, Any]:
    """Embed the photos that the project has now; those that are embedded already are left so.

    The payload has the settings of the server that asked, so that it finds what is made.
    """
    wanted = job.payload
    limit = int(wanted["max_disk_bytes"])
    if not limit:
        raise BadInput("SAM2_EMBEDDING_DISK_BYTES=0 keeps no embeddings; raise it for the server")
    project = store.projects.by_id(job.workspace_id, wanted["project_id"])
    photos = photos_of_project(store, project)
    segmenter = InteractiveSegmenter(
        find_by_name(store.home.sam2_models, wanted["model"]),
        engine=wanted["engine"],
        precision=wanted["precision"],
        cache_folder=Path(wanted["cache_folder"] or store.home.cache),
    )
    cache = EmbeddingCache(max_bytes=1, folder=store.home.sam2_embeddings, max_disk_bytes=limit)
    written_s = 0.0

    def report(progress: EmbedProgress) -> None:
        nonlocal written_s
        now = time.monotonic()
        if now - written_s >= REPORT_S:
            written_s = now
            fraction = progress.done / progress.total
            with unsaid_in_outages():
                store.jobs.progress(job.id, worker, {**asdict(progress), "fraction": fraction})

    done = embed_photos(
        photos,
        segmenter,
        cache,
        workspace_id=job.workspace_id,
        max_disk_bytes=limit,
        report=report,
    )
    return asdict(done)
