"""Many photos of a workspace at once: changes, made by the worker, how far they are, deletion."""

from typing import Any

from fastapi import Depends, Request, Response

from atrous.domain.errors import BadRequest, NotFound
from atrous.server.authentication import needs
from atrous.server.described_bodies import json_body
from atrous.server.errors import json_response
from atrous.server.platform.access import (
    IdPath,
    NamedWorkspace,
    ids_field,
    object_field,
    read_json,
    text_field,
    texts_field,
)
from atrous.server.platform.answer_schemas import Deleted, Task, TaskQueued, answered_by
from atrous.server.platform.body_schemas import ManyMetadataBody, PhotosBody
from atrous.server.platform.descriptions import describe_task
from atrous.server.platform.links import Links
from atrous.server.platform.routing import platform_router
from atrous.server.services import services_of
from atrous.store.images import check_metadata_levels
from atrous.store.jobs import CHANGE_PHOTOS, Job

router = platform_router("images")
Write = Depends(needs("write"))
MAX_UPDATES = 1000


@router.post(
    "/{workspace:slug}/images/metadata",
    summary="Change metadata and tags of many photos",
    dependencies=[Write],
    openapi_extra=json_body(ManyMetadataBody),
    status_code=202,
    responses=answered_by(TaskQueued, 202),
)
async def change_many(request: Request, workspace: NamedWorkspace) -> Response:
    """Read `updates`, at most 1000: `imageId`, and what the route for one photo reads. Answers 202
    with the task to ask for.
    """
    services, body = services_of(request), await read_json(request)
    updates = _updates(body.get("updates"))

    def queue() -> Job:
        payload = {"updates": updates}
        return services.store.jobs.enqueue(CHANGE_PHOTOS, payload, workspace_id=workspace.id)

    job = await services.look_up(queue)
    url = f"{Links(request, services).origin}/{workspace.slug}/asynctasks/{job.id}"
    return json_response({"taskId": job.id, "url": url}, 202)


def _updates(given: Any) -> list[dict[str, Any]]:
    """What the worker takes, each checked here, so that a fault is told to who made it."""
    if not isinstance(given, list) or not given:
        raise BadRequest(
            f"'updates' is {str(given)[:100]!r}; send a list of objects with 'imageId'"
        )
    if len(given) > MAX_UPDATES:
        raise BadRequest(f"{len(given)} updates were sent; send at most {MAX_UPDATES} at once")
    updates = []
    for number, update in enumerate(given):
        if not isinstance(update, dict):
            raise BadRequest(f"update {number} is {str(update)[:100]!r}; send an object")
        updates.append(
            {
                "image": text_field(update, "imageId"),
                "metadata": _metadata(update),
                "remove_metadata": texts_field(update, "removeMetadata"),
                "add_tags": texts_field(update, "addTags"),
                "remove_tags": texts_field(update, "removeTags"),
            }
        )
    return updates


def _metadata(update: dict[str, Any]) -> dict[str, Any]:
    metadata = object_field(update, "metadata")
    check_metadata_levels(metadata)  # else it could not even be queued
    return metadata


@router.get(
    "/{workspace:slug}/asynctasks/{task}",
    summary="How far a task is",
    dependencies=[Write],
    responses=answered_by(Task),
)
async def get_task(request: Request, workspace: NamedWorkspace, task: IdPath) -> Response:
    """Answer with `status`: queued, running, completed or failed; and `progress`. When it is
    completed, `result` counts photos and says why some could not be changed.
    """
    services = services_of(request)

    def find() -> Job:
        job = services.store.jobs.get(task)
        if job.workspace_id != workspace.id or job.kind != CHANGE_PHOTOS:
            raise NotFound(f"there is no task {task!r}")
        return job

    job = await services.look_up(find)
    return json_response(describe_task(job, len(job.payload["updates"])))


@router.delete(
    "/{workspace:slug}/images",
    summary="Delete photos that belong to no project",
    dependencies=[Write],
    openapi_extra=json_body(PhotosBody, required=False),
    responses=answered_by(Deleted),
)
async def delete_images(request: Request, workspace: NamedWorkspace) -> Response:
    """Read `images`, a list of ids, and count those that are there as skipped: each photo belongs
    to a project, and goes when it is removed there.
    """
    services, body = services_of(request), await read_json(request)
    ids = ids_field(body, "images")
    kept = await services.look_up(lambda: services.store.images.count(workspace.id, ids))
    return json_response(
        {"deleted": 0, "skipped": kept, "deletedSources": 0, "skippedSources": kept}
    )
