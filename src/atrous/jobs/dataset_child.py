"""The process of one job on a data set: `python -m atrous.jobs.dataset_child JOB_ID WORKER PARENT`.

It makes the pictures of a version or an export, imports a zip, adds or measures a model, embeds a
project's photos or changes what is said of them; it needs nothing of training.
"""

import sys
from typing import Any

from atrous.jobs.add_model import add_model
from atrous.jobs.change_photos import change_photos
from atrous.jobs.evaluate_training import evaluate_training
from atrous.jobs.export_search import export_search
from atrous.jobs.export_version import export_version
from atrous.jobs.generate_version import generate_version
from atrous.jobs.import_zip import import_zip
from atrous.jobs.sam2_embed_project import embed_project
from atrous.jobs.settling import run_and_settle
from atrous.store.evaluations import EVALUATE
from atrous.store.exports import EXPORT
from atrous.store.jobs import CHANGE_PHOTOS, EMBED_PROJECT, Job
from atrous.store.opening import Store
from atrous.store.search_exports import EXPORT_SEARCH
from atrous.store.trainings import ADD_MODEL
from atrous.store.versions import GENERATE
from atrous.store.zip_imports import IMPORT

RUNS = {
    GENERATE: generate_version,
    EXPORT: export_version,
    EXPORT_SEARCH: export_search,
    IMPORT: import_zip,
    ADD_MODEL: add_model,
    EVALUATE: evaluate_training,
    EMBED_PROJECT: embed_project,
    CHANGE_PHOTOS: change_photos,
}


def main(job_id: str, worker: str, parent: int) -> int:
    """Run the job and settle it; gives the exit code."""
    return run_and_settle(job_id, worker, parent, run)


def run(job: Job, worker: str, store: Store) -> dict[str, Any]:
    """Run a job by its kind."""
    return RUNS[job.kind](job, worker, store)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
