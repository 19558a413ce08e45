"""Versions of a project's data set: generate, read, export."""

import secrets
from typing import Annotated, Any

from fastapi import Depends, Path, Request, Response

from atrous.datasets.version_steps import VersionSteps, read_version_steps
from atrous.datasets.zip_exports import FORMATS
from atrous.domain.errors import BadRequest, Conflict
from atrous.server.authentication import needs
from atrous.server.described_bodies import json_body
from atrous.server.errors import json_response
from atrous.server.platform.access import (
    NamedProject,
    NamedVersion,
    OwnedVersion,
    read_json,
    text_field,
)
from atrous.server.platform.answer_schemas import Generating, answered_by
from atrous.server.platform.body_schemas import VersionBody
from atrous.server.platform.descriptions import (
    describe_project,
    describe_version,
    describe_workspace,
)
from atrous.server.platform.links import Links
from atrous.server.platform.project_schemas import Making, VersionAnswer, VersionExport
from atrous.server.platform.routing import platform_router
from atrous.server.services import services_of
from atrous.store.exports import Export
from atrous.store.versions import TagFilter, Version

router = platform_router("versions")
Write = Depends(needs("write"))
MAX_SEED = 2**31 - 1
MEBIBYTE = 1 << 20


@router.post(
    "/{workspace:slug}/{project:slug}/generate",
    summary="Make a version of the data set",
    dependencies=[Write],
    openapi_extra=json_body(VersionBody, required=False),
    responses=answered_by(Generating),
)
async def generate(request: Request, owned: NamedProject) -> Response:
    """Read `preprocessing` and `augmentation` (objects of steps), and if wished `versionName` and
    `seed`; freeze the labelled photos of the data set and queue the making of the pictures.
    """
    services, body = services_of(request), await read_json(request)
    preprocessing, augmentation = _steps(body, "preprocessing"), _steps(body, "augmentation")
    steps = read_version_steps(preprocessing, augmentation)  # refuses what could not be done later
    tags = TagFilter(steps.preparation.required_tags, steps.preparation.excluded_tags)
    seed = body.get("seed", secrets.randbelow(MAX_SEED))
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed <= MAX_SEED:
        raise BadRequest(f"'seed' is {str(seed)[:100]!r}; send a number from 0 to {MAX_SEED}")

    def create() -> Version:
        return services.store.versions.create(
            owned.project,
            preprocessing=preprocessing,
            augmentation=augmentation,
            seed=seed,
            name=text_field(body, "versionName", "") or None,
            tags=tags,
        )

    version = await services.look_up(create)
    told = [*steps.told, *_unknown_classes(steps, version)]
    warnings = {"warnings": told} if told else {}
    return json_response({"message": "Generating", "version": version.number, **warnings})


def _unknown_classes(steps: VersionSteps, version: Version) -> list[str]:
    """What is to be told of classes that are renamed and that there are not."""
    known = ", ".join(version.class_names[1:])
    return [
        f"preprocessing 'remap' names the class {old[:100]!r}, which the project does not have; "
        f"it has {known}"
        for old, _ in steps.preparation.remap
        if old not in version.class_names
    ]


def _steps(body: dict[str, Any], name: str) -> dict[str, Any]:
    steps = body.get(name)
    if steps is None:
        return {}
    if not isinstance(steps, dict):
        raise BadRequest(f"'{name}' is {str(steps)[:100]!r}; send an object of steps")
    return steps


@router.get(
    "/{workspace:slug}/{project:slug}/{version:number}",
    summary="A version",
    responses=answered_by(VersionAnswer),
)
async def get_version(request: Request, owned: NamedVersion) -> Response:
    """Answer with a version; `generating` is true until its pictures are made."""
    services = services_of(request)
    origin = Links(request, services).origin

    def read() -> dict[str, Any]:
        store, workspace, project = services.store, owned.workspace, owned.project
        return {
            "workspace": describe_workspace(workspace),
            "project": describe_project(store, workspace, project),
            "version": describe_version(store, workspace, project, owned.version, origin),
        }

    return json_response(await services.look_up(read))


@router.get(
    "/{workspace:slug}/{project:slug}/{version:number}/{format}",
    summary="Export a version",
    dependencies=[Write],
    responses={**answered_by(VersionExport), **answered_by(Making, 202)},
)
async def export_version(
    request: Request, owned: NamedVersion, format: Annotated[str, Path(max_length=100)]
) -> Response:
    """Answer 202 with `progress` while the zip is made, then 200 with a signed link to it.

    Formats: png-mask-semantic, coco, coco-segmentation, yolo-seg.
    """
    if format not in FORMATS:
        raise BadRequest(f"format {format!r} is not offered; take one of {', '.join(FORMATS)}")
    services = services_of(request)
    if owned.version.state == "failed":
        raise Conflict(f"version {owned.version.number} was not made: {owned.version.error}")
    if owned.version.state == "generating":
        return json_response({"progress": 0.0}, 202)
    links = Links(request, services)

    def ask() -> tuple[Export, str]:
        export = services.store.exports.request(owned.version, format)
        link = ""
        if export.blob:
            link = links.to(export.blob.digest, "application/zip", file_name_of(owned, format))
        return export, link

    export, link = await services.look_up(ask)
    if export.state == "failed":
        raise Conflict(f"the export was not made: {export.error}; ask again to try it once more")
    if export.blob is None:
        return json_response({"progress": export.progress}, 202)
    size_mib = round(export.blob.size_bytes / MEBIBYTE, 3)
    return json_response({"export": {"format": format, "link": link, "size": size_mib}})


def file_name_of(owned: OwnedVersion, format: str) -> str:
    """The name of a zip, as data sets are passed round: `roads.v1i.coco.zip`."""
    return f"{owned.project.slug}.v{owned.version.number}i.{format}.zip"
