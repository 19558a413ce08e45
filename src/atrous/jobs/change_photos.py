"""Metadata and tags of many photos, changed one photo after the other."""

from typing import Any

from atrous.domain.errors import BadInput, NotFound
from atrous.jobs.settling import FractionReport
from atrous.store.jobs import Job
from atrous.store.opening import Store


def change_photos(job: Job, worker: str, store: Store) -> dict[str, Any]:
    """Make each change that can be made; the job's result says which could not, and why.

    A job that is run again makes the same changes again, which leaves what they left.
    """
    updates = job.payload["updates"]
    report = FractionReport(job, worker, store, total=len(updates))
    faults = []
    for update in updates:
        change = {name: value for name, value in update.items() if name != "image"}
        try:
            image = store.images.in_workspace(job.workspace_id, update["image"])
            store.images.change(image, **change)
        except (BadInput, NotFound) as error:
            faults.append({"imageId": update["image"], "error": str(error)})
        report.step()
    return {"succeeded": len(updates) - len(faults), "failed": len(faults), "errors": faults}
