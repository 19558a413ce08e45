"""Photos of a project: search, details, batches, tags, removal."""

from functools import partial
from typing import Any

import numpy as np
from fastapi import Depends, Request, Response

from atrous.domain.classes import IGNORE_ID
from atrous.domain.errors import BadRequest
from atrous.images.media_types import SUFFIXES
from atrous.masks.boxes import box_around
from atrous.masks.png import decode_label_map
from atrous.server.authentication import needs
from atrous.server.described_bodies import json_body
from atrous.server.errors import json_response
from atrous.server.platform.access import (
    IdPath,
    NamedProject,
    NamedWorkspace,
    flag_field,
    ids_field,
    number_field,
    object_field,
    read_json,
    text_field,
    texts_field,
)
from atrous.server.platform.answer_schemas import (
    Batches,
    OneBatch,
    OnePhoto,
    SearchResults,
    Succeeded,
    answered_by,
)
from atrous.server.platform.body_schemas import (
    MetadataBody,
    PhotosBody,
    SearchBody,
    WorkspaceSearchBody,
)
from atrous.server.platform.descriptions import describe_image
from atrous.server.platform.links import Links
from atrous.server.platform.routing import platform_router
from atrous.server.platform.search_query import read_query
from atrous.server.services import Services, services_of
from atrous.store.image_search import MAX_PAGE, ImageQuery, Page
from atrous.store.images import Batch, Image
from atrous.store.projects import Project

router = platform_router("images")
# Photos are behind the scope that uploads them: a key for predictions alone does not read them.
Write = Depends(needs("write"))
DEFAULT_FIELDS = ["id", "name", "created", "labels"]
MAX_OFFSET = 10**9
NOTHING = Page((), (), 0)
PHOTO = "image"  # as clients call that kind of media


@router.post(
    "/{workspace:slug}/{project:slug}/search",
    summary="Search photos",
    dependencies=[Write],
    openapi_extra=json_body(SearchBody, required=False),
    responses=answered_by(SearchResults),
)
async def search(request: Request, owned: NamedProject) -> Response:
    """Read `prompt` (part of the name), `tag`, `class_name`, `in_dataset`, `batch_id`, `offset`,
    `limit` (at most 250) and `fields`. Pages are full unless there are no more photos.

    No photo is in an annotation job, and none is a video.
    """
    services, body = services_of(request), await read_json(request)
    query = ImageQuery(
        text=text_field(body, "prompt", ""),
        tag=text_field(body, "tag", "") or None,
        class_name=text_field(body, "class_name", "") or None,
        in_dataset=flag_field(body, "in_dataset"),
        batch_id=text_field(body, "batch_id", "") or None,
        offset=number_field(body, "offset", 0, MAX_OFFSET),
        limit=number_field(body, "limit", 100, MAX_PAGE),
    )
    fields = texts_field(body, "fields") or DEFAULT_FIELDS
    in_job = flag_field(body, "annotation_job") or text_field(body, "annotation_job_id", "")
    page = NOTHING
    if not in_job and _asks_for_photos(body):
        find = partial(services.store.image_search.find, owned.project, query)
        page = await services.look_up(find)
    results = _results(page, fields)
    return json_response({"results": results, "offset": query.offset, "total": page.total})


@router.post(
    "/{workspace:slug}/search/v1",
    summary="Search photos of a workspace",
    dependencies=[Write],
    openapi_extra=json_body(WorkspaceSearchBody),
    responses=answered_by(SearchResults),
)
async def search_workspace(request: Request, workspace: NamedWorkspace) -> Response:
    """Read `query` (`project:slug tag:rain` and a part of a name), `pageSize` and so on."""
    services, body = services_of(request), await read_json(request)
    token = text_field(body, "continuationToken", "0")
    is_ours = token.isdecimal() and len(token) <= len(str(MAX_OFFSET))
    if not is_ours or int(token) > MAX_OFFSET:
        raise BadRequest(f"continuationToken {token[:100]!r} is none that this server gave")
    query = read_query(
        text_field(body, "query", ""),
        offset=int(token),
        limit=number_field(body, "pageSize", 50, MAX_PAGE),
    )
    slug = query.project
    if slug is None:
        raise BadRequest("say which project to search, as project:roads in the query")
    for_photos = _asks_for_photos(body)

    def find() -> Page:
        project = services.store.projects.get(workspace.id, slug)
        return services.store.image_search.find(project, query.photos) if for_photos else NOTHING

    page = await services.look_up(find)
    answer: dict[str, Any] = {
        "results": _results(page, texts_field(body, "fields") or DEFAULT_FIELDS),
        "total": page.total,
    }
    end = query.photos.offset + len(page.images)
    if page.images and end < page.total:
        answer["continuationToken"] = str(end)
    return json_response(answer)


def _asks_for_photos(body: dict[str, Any]) -> bool:
    """Whether the kinds of media that are wanted have photos among them, as they do when none are
    named; the second spelling is that of the client's arguments.
    """
    wanted = texts_field(body, "mediaTypes") or texts_field(body, "media_types") or [PHOTO]
    return PHOTO in wanted


def _results(page: Page, fields: list[str]) -> list[dict[str, Any]]:
    wanted = {"id", "name", "mediaType", *fields}
    return [
        {name: value for name, value in describe_image(image, names).items() if name in wanted}
        for image, names in zip(page.images, page.class_names, strict=True)
    ]


@router.get(
    "/{workspace:slug}/{project:slug}/images/{image}",
    summary="One photo",
    dependencies=[Write],
    responses=answered_by(OnePhoto),
)
async def get_image(request: Request, owned: NamedProject, image: IdPath) -> Response:
    """Answer with everything about a photo, with signed links to it, its thumbnail and its label.

    A box of the annotation goes round all pixels of one class.
    """
    services, links = services_of(request), Links(request, services_of(request))
    queue = f"photo:{owned.project.slug}"

    def read() -> dict[str, Any]:
        found = services.store.images.get(owned.project, image)
        return {"image": _details(services, owned.project, found, links)}

    with services.work.place(queue):  # a label is decoded
        return json_response(await services.work.run(queue, read))


def _details(services: Services, project: Project, image: Image, links: Links) -> dict[str, Any]:
    store = services.store
    suffix = SUFFIXES[image.media_type]
    urls = {
        "original": links.to(image.digest, image.media_type, f"{image.id}{suffix}"),
        "thumb": links.to(image.thumb_digest, "image/jpeg", f"{image.id}_thumb.jpg"),
    }
    details = describe_image(image, store.image_search.class_names(project, image))
    label = store.labels.get(image)
    if label is not None:
        urls["annotation"] = links.to(label.digest, "image/png", f"{image.id}_mask.png")
        names = store.projects.class_names(project)
        with services.decoded_pixels.take(image.height * image.width):
            boxes = _boxes(store.blobs.read(label.digest), image, names)
        details["annotation"] = {
            "key": label.name,
            "width": image.width,
            "height": image.height,
            "boxes": boxes,
        }
    return {**details, "urls": urls, "embedding": None}


def _boxes(mask: bytes, image: Image, names: tuple[str, ...]) -> list[dict[str, Any]]:
    """The box around each class: its centre and size in pixels."""
    label_map = decode_label_map(mask, max_pixels=image.height * image.width)
    boxes = []
    for number in np.unique(label_map):
        if number in (0, IGNORE_ID):
            continue
        box = box_around(label_map == number)
        boxes.append(
            {
                "label": names[number],
                "x": (box.left + box.right) / 2,
                "y": (box.top + box.bottom) / 2,
                "width": box.size.width,
                "height": box.size.height,
            }
        )
    return boxes


@router.delete(
    "/{workspace:slug}/{project:slug}/images",
    summary="Remove photos",
    dependencies=[Write],
    openapi_extra=json_body(PhotosBody, required=False),
    status_code=204,
)
async def remove_images(request: Request, owned: NamedProject) -> Response:
    """Read `images`, a list of ids; those that are not there are no error. Versions keep theirs."""
    services, body = services_of(request), await read_json(request)
    ids = ids_field(body, "images")
    await services.look_up(lambda: services.store.images.remove(owned.project, ids))
    return Response(status_code=204)


@router.get(
    "/{workspace:slug}/{project:slug}/batches",
    summary="Batches",
    dependencies=[Write],
    responses=answered_by(Batches),
)
async def list_batches(request: Request, owned: NamedProject) -> Response:
    """Answer with the batches that photos were uploaded in."""
    services = services_of(request)
    batches = await services.look_up(lambda: services.store.images.batches(owned.project))
    return json_response({"batches": [_describe_batch(batch) for batch in batches]})


@router.get(
    "/{workspace:slug}/{project:slug}/batches/{batch}",
    summary="One batch",
    dependencies=[Write],
    responses=answered_by(OneBatch),
)
async def get_batch(request: Request, owned: NamedProject, batch: IdPath) -> Response:
    """Answer with a batch."""
    services = services_of(request)
    found = await services.look_up(lambda: services.store.images.batch(owned.project, batch))
    return json_response({"batch": _describe_batch(found)})


def _describe_batch(batch: Batch) -> dict[str, Any]:
    return {
        "id": batch.id,
        "name": batch.name,
        "images": batch.images,
        "numImages": batch.images,
        "created": batch.created_at,
        "uploaded": batch.created_at,
    }


@router.post(
    "/{workspace:slug}/images/{image}/metadata",
    summary="Change metadata and tags of a photo",
    dependencies=[Write],
    openapi_extra=json_body(MetadataBody, required=False),
    responses=answered_by(Succeeded),
)
async def change_metadata(request: Request, workspace: NamedWorkspace, image: IdPath) -> Response:
    """Read `metadata` (an object), `removeMetadata`, `addTags` and `removeTags` (lists)."""
    services, body = services_of(request), await read_json(request)
    metadata = object_field(body, "metadata")

    def change() -> None:
        images = services.store.images
        images.change(
            images.in_workspace(workspace.id, image),
            metadata=metadata,
            remove_metadata=texts_field(body, "removeMetadata"),
            add_tags=texts_field(body, "addTags"),
            remove_tags=texts_field(body, "removeTags"),
        )

    await services.look_up(change)
    return json_response({"success": True})
