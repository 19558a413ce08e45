"""Whole data sets as zips: announce one, send it to the link that is given, ask how far it is."""

from functools import partial
from pathlib import Path as FilePath
from typing import Annotated, Any

import anyio.to_thread
from fastapi import Depends, Path, Request, Response

from atrous.datasets.zip_files import CheckedZip
from atrous.domain.errors import BadRequest, Conflict
from atrous.server.authentication import needs, open_to_all
from atrous.server.described_bodies import file_body, json_body
from atrous.server.errors import json_response
from atrous.server.platform.access import (
    IdPath,
    NamedProject,
    NamedWorkspace,
    read_json,
    text_field,
    texts_field,
)
from atrous.server.platform.answer_schemas import Announced, Received, ZipTask, answered_by
from atrous.server.platform.body_schemas import ZipBody
from atrous.server.platform.descriptions import describe_task
from atrous.server.platform.links import Links, opened
from atrous.server.platform.routing import platform_router
from atrous.server.platform.upload_routes import DEFAULT_BATCH, read_split
from atrous.server.services import Services, services_of
from atrous.server.streamed_bodies import body_in_file
from atrous.store.images import check_wishes
from atrous.store.jobs import Job
from atrous.store.zip_imports import ImportWishes

router = platform_router("images")
Write = Depends(needs("write"))
SECRET_NAME = "zip uploads"  # not that of links to files: neither opens what the other does
ZIP = "application/zip"


@router.post(
    "/{workspace:slug}/{project:slug}/upload/zip",
    summary="Announce a zip of a data set",
    dependencies=[Write],
    openapi_extra=json_body(ZipBody, required=False),
    responses=answered_by(Announced),
)
async def announce_zip(request: Request, owned: NamedProject) -> Response:
    """Read `split`, `tags`, `batchName` and `annotationOverwrite`, for all photos of the zip.

    Answers with a link, which takes the zip by PUT and needs no key, and the task to ask for.
    """
    services, body = services_of(request), await read_json(request)
    overwrite = body.get("annotationOverwrite", False)
    if not isinstance(overwrite, bool):
        raise BadRequest(f"'annotationOverwrite' is {str(overwrite)[:100]!r}; send true or false")
    wishes = ImportWishes(
        split=read_split(text_field(body, "split", "")),
        batch=text_field(body, "batchName", "") or DEFAULT_BATCH,
        tags=tuple(dict.fromkeys(tag for tag in texts_field(body, "tags") if tag)),
        overwrite=overwrite,
        max_pixels=services.settings.max_image_pixels,
    )
    check_wishes(wishes.batch, wishes.tags)  # else every photo of the zip would be a fault
    links = Links(request, services)

    def announce() -> tuple[str, str]:
        job = services.store.zip_imports.announce(owned.project, wishes)
        return job.id, links.token(SECRET_NAME, job.id, ZIP)

    task_id, token = await services.look_up(announce)
    link = f"{links.origin}/files/{token}"
    return json_response({"taskId": task_id, "signedUrl": link, "url": link})


@router.put(
    "/files/{token}",
    summary="Send a zip to its link",
    openapi_extra=file_body("The zip, under any content type."),
    responses=answered_by(Received),
)
@open_to_all  # the token is the key
async def receive_zip(request: Request, token: Annotated[str, Path(max_length=2000)]) -> Response:
    """Take the bytes of a zip. Its names, sizes, counts and ratios are checked before anything of
    it is written; then it is queued.
    """
    services = services_of(request)

    def find() -> str:
        task_id = opened(token, SECRET_NAME, services.store).thing
        if not services.store.zip_imports.is_waiting(task_id):
            raise Conflict("a zip came for this task already; ask for a new one")
        return task_id

    task_id = await services.look_up(find)
    most = services.settings.max_zip_bytes
    async with body_in_file(request, services.store.home.cache, most) as path:
        # Copying gigabytes: not in the few threads that others wait for.
        await anyio.to_thread.run_sync(partial(_start, services, task_id, path))
    return json_response({"success": True, "taskId": task_id})


def _start(services: Services, task_id: str, path: FilePath) -> None:
    with CheckedZip(path):
        pass
    services.store.zip_imports.start(task_id, services.store.blobs.put_file(path))


@router.get(
    "/{workspace:slug}/upload/zip/{task}",
    summary="How far a zip is",
    dependencies=[Write],
    responses=answered_by(ZipTask),
)
async def get_zip_upload(request: Request, workspace: NamedWorkspace, task: IdPath) -> Response:
    """Answer with `status`: pending (no zip yet), queued, processing, completed or failed; and
    `progress`. When it is completed, `result` counts photos and labels and lists `faults` by file.
    """
    services = services_of(request)
    find = partial(services.store.zip_imports.get, workspace.id, task)
    return json_response(_describe(await services.look_up(find)))


def _describe(job: Job) -> dict[str, Any]:
    result = job.result
    finished = job.state == "finished"
    total = result["images"] + result["duplicates"] if finished else job.progress.get("total", 0)
    return describe_task(job, total, running="processing")
