"""The process that runs one job on a data set: `python -m atrous.jobs.dataset_child JOB_ID WORKER`.

It makes the pictures of a version, or an export, and needs nothing of training.
"""

import sys
from typing import Any

from atrous.jobs.export_version import export_version
from atrous.jobs.generate_version import generate_version
from atrous.jobs.settling import run_and_settle
from atrous.store.exports import EXPORT
from atrous.store.jobs import Job
from atrous.store.opening import Store
from atrous.store.versions import GENERATE

RUNS = {GENERATE: generate_version, EXPORT: export_version}


def main(job_id: str, worker: str) -> int:
    """Run the job and settle it; gives the exit code."""
    return run_and_settle(job_id, worker, run)


def run(job: Job, worker: str, store: Store) -> dict[str, Any]:
    """Run a job by its kind."""
    return RUNS[job.kind](job, worker, store)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
