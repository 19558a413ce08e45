"""`POST /dataset/{project}/upload`: one photo, as a form, base64, bytes or URL."""

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import orjson
from fastapi import Depends, Query, Request, Response

from atrous.domain.errors import BadRequest
from atrous.server.authentication import needs
from atrous.server.described_bodies import picture_body
from atrous.server.errors import json_response
from atrous.server.form_file import find_part
from atrous.server.image_input import SentImage, read_posted
from atrous.server.platform.access import KeyProject, NamedProject, Owned
from atrous.server.platform.answer_schemas import Uploaded, answered_by
from atrous.server.platform.body_schemas import UPLOAD_PARTS
from atrous.server.platform.routing import platform_router
from atrous.server.services import Services, services_of
from atrous.server.url_fetch import fetch_image
from atrous.store.images import MAX_METADATA_BYTES, NewImage
from atrous.store.photo_files import plain_name, split_of_content, store_photo

router = platform_router("images")
Write = Depends(needs("write"))
SPLIT_NAMES = {"train": "train", "valid": "valid", "val": "valid", "validation": "valid"}
SPLIT_NAMES["test"] = "test"
DEFAULT_BATCH = "Uploads"
BODY = picture_body("The photo. Not needed with `?image=URL`.", UPLOAD_PARTS)


@dataclass(frozen=True)
class UploadFields:
    """What is said about a photo beside its pixels."""

    name: str
    split: str | None  # None: by content
    batch: str
    tags: tuple[str, ...]
    user_metadata: dict[str, Any]


class UploadQuery:
    """What the query may say about a photo; parts of a form go before it."""

    def __init__(
        self,
        name: Annotated[str, Query(description="Of the photo.")] = "",
        split: Annotated[
            str, Query(description="train, valid or test; not given, the content decides.")
        ] = "",
        batch: str = "",
        tag: Annotated[list[str] | None, Query(description="May be repeated.")] = None,
        metadata: Annotated[str, Query(description="A JSON object.")] = "",
        image: Annotated[
            str | None, Query(description="URL of the photo, instead of a body.")
        ] = None,
    ) -> None:
        """Collect it."""
        self.fields = {"name": name, "split": split, "batch": batch, "metadata": metadata}
        self.tags, self.image_url = tag or [], image


Asked = Annotated[UploadQuery, Depends()]


@router.post(
    "/dataset/{project:slug}/upload",
    summary="Upload a photo",
    dependencies=[Write],
    openapi_extra=BODY,
    responses=answered_by(Uploaded),
)
async def upload_photo(request: Request, owned: KeyProject, query: Asked) -> Response:
    """Store a photo as it is. Fields come in the query or in parts of the form.

    `name`, `split` (train, valid or test; without it the content decides), `batch`, `tag` (may
    be repeated), `metadata` (a JSON object). A photo that the project has is a `duplicate`.
    """
    return await _upload(request, owned, query)


@router.post(
    "/{workspace:slug}/{project:slug}/upload",
    summary="Upload a photo (the same, with the workspace)",
    dependencies=[Write],
    openapi_extra=BODY,
    responses=answered_by(Uploaded),
)
async def upload_photo_to_workspace(
    request: Request, owned: NamedProject, query: Asked
) -> Response:
    """Store a photo as it is."""
    return await _upload(request, owned, query)


async def _upload(request: Request, owned: Owned, query: UploadQuery) -> Response:
    services, url = services_of(request), query.image_url
    fields = await _read_fields(request, query)
    queue = f"upload:{owned.project.slug}"
    with services.work.place(queue), services.waiting_bytes.account() as hold:
        if url:
            sent = SentImage(await fetch_image(url, services.settings, hold))
        else:
            sent = await read_posted(request)
        work = partial(_store, services, owned, sent, fields)
        return json_response(await services.work.run(queue, work))


def _store(
    services: Services, owned: Owned, sent: SentImage, fields: UploadFields
) -> dict[str, Any]:
    data = sent.file_bytes()
    with services.decoded_pixels.of_picture(data):
        photo = store_photo(
            data, services.store.blobs, max_pixels=services.settings.max_image_pixels
        )
    new = NewImage(
        name=plain_name(fields.name, photo),
        digest=photo.digest,
        thumb_digest=photo.thumb_digest,
        media_type=photo.media_type,
        size_bytes=photo.size_bytes,
        height=photo.size.height,
        width=photo.size.width,
        split=fields.split or split_of_content(photo.digest),
        batch=fields.batch,
        tags=fields.tags,
        user_metadata=fields.user_metadata,
    )
    image, is_new = services.store.images.add(owned.project, new)
    return {"id": image.id, "success": True} if is_new else {"id": image.id, "duplicate": True}


async def _read_fields(request: Request, query: UploadQuery) -> UploadFields:
    """Read the fields: those of the form go before those of the query."""
    body = b""
    content_type = request.headers.get("content-type", "")
    if "multipart/form-data" in content_type.lower():
        body = await request.body()

    def field(name: str) -> str:
        part = find_part(body, content_type, name) if body else None
        return query.fields[name] if part is None else part.decode("utf-8", "replace")

    return UploadFields(
        name=field("name"),
        split=read_split(field("split")),
        batch=field("batch") or DEFAULT_BATCH,
        tags=tuple(dict.fromkeys(tag for tag in query.tags if tag)),
        user_metadata=_read_metadata(field("metadata")),
    )


def read_split(text: str) -> str | None:
    """Give the split that a client names, None where it names none."""
    split = text.strip().lower()
    if split and split not in SPLIT_NAMES:
        raise BadRequest(f"split {split[:100]!r} is not one of train, valid, test")
    return SPLIT_NAMES[split] if split else None


def _read_metadata(text: str) -> dict[str, Any]:
    if not text:
        return {}
    try:
        content = orjson.loads(text)
    except orjson.JSONDecodeError:
        content = None
    if not isinstance(content, dict) or len(text) > MAX_METADATA_BYTES:
        raise BadRequest(
            f"metadata is not a JSON object of at most {MAX_METADATA_BYTES} bytes; send one"
        )
    return content
