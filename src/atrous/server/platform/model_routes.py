"""The models of a project: which there are, and their weights."""

import os
import tempfile
import zipfile
from functools import partial
from pathlib import Path as FilePath
from typing import Annotated, Any

import anyio.to_thread
from fastapi import Depends, Path, Request, Response
from starlette.responses import FileResponse

from atrous.disk.whole import flush
from atrous.domain.errors import BadRequest, NotFound
from atrous.server.authentication import needs, open_to_all
from atrous.server.errors import json_response
from atrous.server.platform.access import NamedProject, NamedWorkspace
from atrous.server.platform.answer_schemas import answered_by, answered_by_file
from atrous.server.platform.links import Links, opened
from atrous.server.platform.routing import platform_router
from atrous.server.platform.served_models import describe_model, list_served
from atrous.server.platform.training_schemas import Model, OneModel, WeightsLink
from atrous.server.services import Services, services_of
from atrous.store import Store
from atrous.store.disk_full import naming_full_disk
from atrous.store.models import Model as StoredModel
from atrous.store.runs import run_of_model

router = platform_router("models")
# Of its own: a token for a blob opens no model, and the other way round.
SECRET_NAME = "weights"
MEDIA_TYPE = "application/zip"
ModelName = Annotated[
    str, Path(max_length=200, description="A version's number, or a model's slug.")
]


@router.get(
    "/{workspace:slug}/{project:slug}/models",
    summary="The models of a project",
    responses=answered_by(list[Model], description="By version and training."),
)
async def list_models(request: Request, owned: NamedProject) -> Response:
    """Answer with a list of the models, by version and training."""
    services = services_of(request)
    origin = Links(request, services).origin

    def read() -> list[dict[str, Any]]:
        served = list_served(services.store, owned.workspace, owned.project)
        return [describe_model(owned.workspace, each, origin) for each in served]

    return json_response(await services.look_up(read))


@router.get(
    "/models/{workspace:slug}/{model}",
    summary="One model",
    responses=answered_by(OneModel),
)
async def get_model(request: Request, workspace: NamedWorkspace, model: ModelName) -> Response:
    """Answer with a model of the workspace by its slug."""
    services = services_of(request)
    origin = Links(request, services).origin

    def read() -> dict[str, Any]:
        found = services.store.models.by_slug(workspace.id, model)
        project = services.store.projects.get(workspace.id, found.model_id.project)
        served = list_served(services.store, workspace, project)
        this = next(each for each in served if each.model.folder == found.folder)
        return describe_model(workspace, this, origin)

    return json_response({"model": await services.look_up(read)})


@router.get(
    "/{workspace:slug}/{project:slug}/{model}/ptFile",
    summary="Where a model's weights are",
    dependencies=[Depends(needs("write"))],
    responses=answered_by(WeightsLink),
)
async def get_weights_url(request: Request, owned: NamedProject, model: ModelName) -> Response:
    """Answer with `weightsUrl`, a signed link to a zip of the ONNX package and the checkpoint."""
    services = services_of(request)
    links = Links(request, services)

    def find() -> str:
        project = owned.project.slug
        name = f"{project}/{model}" if model.isdecimal() else model
        if model.isdecimal() and len(model) > 9:
            raise BadRequest(f"{model[:20]} is no version's number")
        found = services.store.models.find(owned.workspace.id, name)
        if found.model_id.project != project:
            raise NotFound(f"there is no model {model[:100]!r} in project '{project}'")
        token = links.token(SECRET_NAME, found.folder, MEDIA_TYPE)
        return f"{links.origin}/weights/{token}/weights.pt"

    return json_response({"weightsUrl": await services.look_up(find)})


@router.get(
    "/weights/{token}/{name}",
    summary="Download weights by a signed link",
    response_class=Response,
    responses={
        **answered_by_file("A zip of the ONNX package and the checkpoint."),
        **answered_by_file("The range that was asked for.", 206),
    },
)
@open_to_all  # the token is the key
async def download_weights(
    request: Request,
    token: Annotated[str, Path(max_length=2000)],
    name: Annotated[str, Path(max_length=500)],
) -> Response:
    """Answer with the zip; it is made when it is first asked for."""
    services = services_of(request)
    target = await services.look_up(lambda: opened(token, SECRET_NAME, services.store))
    # Copying gigabytes: not in the few threads that others wait for.
    path = await anyio.to_thread.run_sync(partial(_packed, services, target.thing))
    headers = {"Content-Security-Policy": "default-src 'none'; sandbox"}
    return FileResponse(path, media_type=MEDIA_TYPE, headers=headers)


def _packed(services: Services, folder: str) -> FilePath:
    return pack(services.store, services.store.models.by_folder(folder))


def pack(store: Store, model: StoredModel) -> FilePath:
    """Give the zip of a model, made where it is missing: its package, and the best checkpoint of
    its run where that is on this machine. Its files are stored, not deflated: weights don't shrink.
    """
    target = store.home.weights_zips / f"{model.folder}.zip"
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor, unfinished = tempfile.mkstemp(prefix=".", dir=target.parent)
    os.close(descriptor)
    try:
        with naming_full_disk(), zipfile.ZipFile(unfinished, "w") as archive:
            for path, name in _parts(store, model):
                archive.write(path, name)
        flush(FilePath(unfinished))
        os.replace(unfinished, target)
    finally:
        FilePath(unfinished).unlink(missing_ok=True)
    flush(target.parent)
    return target


def _parts(store: Store, model: StoredModel) -> list[tuple[FilePath, str]]:
    """The files that go in, and their names there."""
    package = sorted(store.models.package_folder(model.folder).iterdir())
    run = run_of_model(store.home.runs, model.facts)
    best = sorted((run / "checkpoints").glob("best*")) if run else []
    return [
        *((path, f"package/{path.name}") for path in package),
        *((path, f"checkpoint/{path.name}") for path in best),
    ]
