"""Labels of a photo: an annotation file, or a PNG whose pixels are class numbers."""

from functools import partial
from typing import Annotated, Any

import numpy as np
from fastapi import Depends, Query, Request, Response
from jaxtyping import UInt8

from atrous.domain.classes import IGNORE_ID
from atrous.domain.errors import BadInput, BadRequest
from atrous.domain.geometry import Size
from atrous.masks.png import decode_label_map
from atrous.server.authentication import needs
from atrous.server.described_bodies import json_body, picture_body
from atrous.server.errors import json_response
from atrous.server.image_input import SentImage, read_posted
from atrous.server.platform.access import (
    IdPath,
    KeyProject,
    NamedProject,
    Owned,
    read_json,
    text_field,
)
from atrous.server.platform.annotation_cache import AnnotationCache
from atrous.server.platform.answer_schemas import Succeeded, answered_by
from atrous.server.platform.body_schemas import AnnotationBody
from atrous.server.platform.routing import platform_router
from atrous.server.services import Services, services_of
from atrous.server.work_queue import stop_if_unwanted
from atrous.store.images import Image
from atrous.store.label_maps import store_label_map

router = platform_router("annotations")
Write = Depends(needs("write"))
cache = AnnotationCache()


class LabelWishes:
    """What the query says about a label."""

    def __init__(
        self,
        name: Annotated[str, Query(description="Of the annotation file.")] = "",
        overwrite: Annotated[bool, Query(description="Replace a label that is there.")] = False,
        prediction: Annotated[bool, Query(description="Keep it as a suggestion.")] = False,
        addToDataset: Annotated[  # as the client spells it
            bool, Query(description="Let the photo join the data set.")
        ] = True,
    ) -> None:
        """Collect them."""
        self.name, self.overwrite, self.prediction = name, overwrite, prediction
        self.add_to_dataset = addToDataset


Wished = Annotated[LabelWishes, Depends()]


@router.post(
    "/dataset/{project:slug}/annotate/{image}",
    summary="Label a photo",
    dependencies=[Write],
    openapi_extra=json_body(AnnotationBody),
    responses=answered_by(Succeeded),
)
async def annotate(request: Request, owned: KeyProject, image: IdPath, wishes: Wished) -> Response:
    """Read `annotationFile`, the text of a COCO, LabelMe, VOC, CVAT or YOLO file, and keep what it
    says of this photo. `labelmap` names the class numbers of YOLO's format.

    Later annotations lie on top. A photo that has another label is answered 409 unless
    `overwrite=true`.
    """
    return await _annotate(request, owned, image, wishes)


@router.post(
    "/{workspace:slug}/{project:slug}/annotate/{image}",
    summary="Label a photo (the same, with the workspace)",
    dependencies=[Write],
    openapi_extra=json_body(AnnotationBody),
    responses=answered_by(Succeeded),
)
async def annotate_in_workspace(
    request: Request, owned: NamedProject, image: IdPath, wishes: Wished
) -> Response:
    """Keep what an annotation file says of this photo."""
    return await _annotate(request, owned, image, wishes)


async def _annotate(request: Request, owned: Owned, image_id: str, wishes: LabelWishes) -> Response:
    services = services_of(request)
    body = await read_json(request)
    text, labelmap = text_field(body, "annotationFile"), _labelmap(body)

    def work() -> dict[str, Any]:
        image = services.store.images.get(owned.project, image_id)
        upload = cache.read(text, wishes.name or "annotationFile", labelmap)
        size = Size(image.height, image.width)
        label_map = upload.label_map(image.name, size, stop_if_unwanted)
        return _save(services, owned, image, label_map, upload.class_names, wishes)

    return await _run(services, owned, work)


def _labelmap(body: dict[str, Any]) -> dict[str, Any]:
    labelmap = body.get("labelmap")
    if labelmap is not None and not isinstance(labelmap, dict):
        raise BadRequest(f"'labelmap' is {str(labelmap)[:100]!r}; send names by class number")
    return labelmap or {}


@router.post(
    "/{workspace:slug}/{project:slug}/images/{image}/mask",
    summary="Label a photo by a PNG mask",
    dependencies=[Write],
    openapi_extra=picture_body("The mask."),
    responses=answered_by(Succeeded),
)
async def upload_mask(
    request: Request,
    owned: NamedProject,
    image: IdPath,
    wishes: Wished,
    classes: Annotated[
        str | None,
        Query(
            description="Names by pixel value with commas between, the first for 0; not given: "
            "the project's own classes."
        ),
    ] = None,
) -> Response:
    """Keep a mask: an 8-bit greyscale or palette PNG of the photo's size, as bytes, base64 or the
    form's part `file`. 255 is ignored in training.
    """
    services, sent = services_of(request), await read_posted(request)
    names = None if classes is None else [name.strip() for name in classes.split(",")]
    work = partial(_keep_mask, services, owned, image, sent, names, wishes)
    return await _run(services, owned, work)


def _keep_mask(
    services: Services,
    owned: Owned,
    image_id: str,
    sent: SentImage,
    names: list[str] | None,
    wishes: LabelWishes,
) -> dict[str, Any]:
    image = services.store.images.get(owned.project, image_id)
    limit = services.settings.max_image_pixels
    label_map = decode_label_map(sent.file_bytes(), max_pixels=limit)
    expected, found = Size(image.height, image.width), Size(*label_map.shape)
    if found != expected:
        raise BadInput(f"the mask is {found} but its photo is {expected}; make them the same size")
    known = tuple(names or services.store.projects.class_names(owned.project))
    unknown = [int(value) for value in np.unique(label_map) if len(known) <= value < IGNORE_ID]
    if unknown:
        raise BadInput(
            f"the mask has the pixel values {unknown[:10]}, for which there is no class among "
            f"{list(known)[:20]}; name them by ?classes=background,..."
        )
    return _save(services, owned, image, label_map, known, wishes)


def _save(
    services: Services,
    owned: Owned,
    image: Image,
    label_map: UInt8[np.ndarray, "height width"],
    names: tuple[str, ...],
    wishes: LabelWishes,
) -> dict[str, Any]:
    """Store the mask, then say that it is there."""
    store = services.store
    new = store_label_map(store.projects, store.blobs, owned.project, label_map, names, wishes.name)
    if wishes.prediction:
        store.labels.suggest(image, new)
    else:
        store.labels.save(
            image, new, overwrite=wishes.overwrite, add_to_dataset=wishes.add_to_dataset
        )
    return {"success": True}


async def _run(services: Services, owned: Owned, work: Any) -> Response:
    queue = f"annotate:{owned.project.slug}"
    with services.work.place(queue):
        return json_response(await services.work.run(queue, work))
