"""Models that were trained elsewhere: a link to send a package to, and its receipt."""

from functools import partial
from pathlib import Path as FilePath
from typing import Annotated

import anyio.to_thread
from fastapi import Depends, Path, Request, Response

from atrous.datasets.zip_files import CheckedZip
from atrous.domain.errors import Conflict
from atrous.packages.uploads import package_files
from atrous.server.authentication import needs, open_to_all
from atrous.server.described_bodies import file_body
from atrous.server.errors import json_response
from atrous.server.platform.access import NamedVersion
from atrous.server.platform.answer_schemas import answered_by
from atrous.server.platform.links import Links, opened
from atrous.server.platform.routing import platform_router
from atrous.server.platform.training_schemas import ModelLink, ReceivedModel
from atrous.server.services import Services, services_of
from atrous.server.streamed_bodies import body_in_file
from atrous.store.trainings import Training

router = platform_router("models")
SECRET_NAME = "model uploads"  # a token for a blob or a zip of photos takes no model
ZIP = "application/zip"
FILE_NAME = "model.zip"
MODEL_TYPE = "deeplabv3plus"  # until the package was read


@router.get(
    "/{workspace:slug}/{project:slug}/{version:number}/uploadModel",
    summary="Where to send a model that was trained elsewhere",
    dependencies=[Depends(needs("write"))],
    responses=answered_by(ModelLink),
)
async def announce_model(request: Request, owned: NamedVersion) -> Response:
    """Answer with `url`, a signed link that takes the zip of a model package by PUT."""
    services, version = services_of(request), owned.version
    if version.state != "ready":
        raise Conflict(f"version {version.number} is {version.state}; wait until it is ready")

    links = Links(request, services)

    def link() -> str:
        token = links.token(SECRET_NAME, f"{owned.workspace.id}/{version.id}", ZIP)
        return f"{links.origin}/files/{token}/{FILE_NAME}"

    url = await services.look_up(link)
    return json_response({"url": url, "signedUrl": url})


@router.put(
    f"/files/{{token}}/{FILE_NAME}",
    summary="Send a model to its link",
    openapi_extra=file_body("A zip of a model package, under any content type."),
    responses=answered_by(ReceivedModel),
)
@open_to_all  # the token is the key
async def receive_model(request: Request, token: Annotated[str, Path(max_length=2000)]) -> Response:
    """Take the zip of a package, and queue its check. It then counts as a training of the version,
    and serves as soon as the worker has run it once. Weights in pickles are refused unopened.
    """
    services = services_of(request)
    find = partial(_named, services, token)
    workspace_id, version_id = await services.look_up(find)
    async with body_in_file(
        request, services.store.home.cache, services.settings.max_zip_bytes
    ) as path:
        # Copying gigabytes: not in the few threads that others wait for.
        start = partial(_start, services, workspace_id, version_id, path)
        training = await anyio.to_thread.run_sync(start)
    return json_response({"success": True, "trainingId": training.id, "number": training.number})


def _named(services: Services, token: str) -> tuple[str, str]:
    target = opened(token, SECRET_NAME, services.store)
    workspace_id, _, version_id = target.thing.partition("/")
    return workspace_id, version_id


def _start(services: Services, workspace_id: str, version_id: str, path: FilePath) -> Training:
    with CheckedZip(path) as archive:
        package_files(archive.names)
    version = services.store.versions.by_id(workspace_id, version_id)
    blob = services.store.blobs.put_file(path)
    return services.store.trainings.add_uploaded(version, MODEL_TYPE, blob)
