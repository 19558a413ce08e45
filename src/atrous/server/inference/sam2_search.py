"""All objects of an embedded photo, found and written in a worker thread."""

from contextlib import ExitStack
from typing import Any

import numpy as np
from jaxtyping import UInt8

from atrous.domain.errors import BadRequest
from atrous.domain.geometry import Size
from atrous.images.decode import decode_image
from atrous.sam2.automatic_masks import AutomaticMask, AutomaticSettings, find_masks
from atrous.sam2.segmenter import InteractiveSegmenter
from atrous.server.inference.sam2_answers import MaskStyle, MaskWriter
from atrous.server.inference.sam2_photos import EmbeddedPhoto
from atrous.server.inference.sam2_requests import AutoRequest
from atrous.server.services import Services
from atrous.server.work_queue import stop_if_unwanted

MAX_GRID_POINTS = 10_000  # of all crops: some minutes
MAX_POINT_PIXELS = 120_000_000_000  # points of the grid times pixels of the photo


def read_settings(wanted: AutoRequest) -> AutomaticSettings:
    """Give what a request asks for; BadRequest where it would never end."""
    points = _points_in_all(wanted)
    if points > MAX_GRID_POINTS:
        raise BadRequest(
            f"{points:.0f} points would be asked, at most {MAX_GRID_POINTS} are; lower "
            "points_per_side or crop_n_layers, or raise crop_n_points_downscale_factor"
        )
    return AutomaticSettings(
        points_per_side=wanted.points_per_side,
        least_predicted_iou=wanted.pred_iou_thresh,
        least_stability=wanted.stability_score_thresh,
        stability_offset=wanted.stability_score_offset,
        box_nms_iou=wanted.box_nms_thresh,
        crop_layers=wanted.crop_n_layers,
        crop_nms_iou=wanted.crop_nms_thresh,
        crop_overlap=wanted.crop_overlap_ratio,
        crop_points_downscale=wanted.crop_n_points_downscale_factor,
        least_region_area=wanted.min_mask_region_area,
    )


def _points_in_all(wanted: AutoRequest) -> float:
    # Each layer has four times as many crops, of fewer points on a side.
    growth = (2.0 / wanted.crop_n_points_downscale_factor) ** 2
    layers = (growth**layer for layer in range(wanted.crop_n_layers + 1))
    return float(wanted.points_per_side**2 * sum(layers))


def _refuse_too_many_pixels(wanted: AutoRequest, size: Size) -> None:
    points = _points_in_all(wanted)
    if points * size.area > MAX_POINT_PIXELS:
        raise BadRequest(
            f"{points:.0f} points in a photo of {size.area:,} pixels are too much for one search; "
            f"ask at most {MAX_POINT_PIXELS // size.area} points, by points_per_side, or send a "
            "smaller photo"
        )


def search_photo(
    services: Services,
    segmenter: InteractiveSegmenter,
    photo: EmbeddedPhoto,
    file_bytes: bytes | None,
    wanted: AutoRequest,
) -> list[dict[str, Any]]:
    """Give a prediction for each object. Without crops the photo's own bytes are not needed."""
    services.sam2.embeddings.note_use(photo.key, photo.embedding)
    size = photo.embedding.photo_size
    _refuse_too_many_pixels(wanted, size)
    pixels: UInt8[np.ndarray, "height width 3"]
    with ExitStack() as until_found:
        if file_bytes is None:  # only the shape is looked at
            pixels = np.broadcast_to(np.uint8(0), (size.height, size.width, 3))
        else:
            until_found.enter_context(services.decoded_pixels.of_picture(file_bytes))
            with services.metrics.timed("decode"):
                pixels = decode_image(file_bytes, max_pixels=services.settings.max_image_pixels)
        with services.metrics.timed("sam2_search"):
            found = find_masks(
                segmenter,
                pixels,
                read_settings(wanted),
                embedding=photo.embedding,
                on_point=lambda *_: stop_if_unwanted(),
            )
    # However many they are: each is written on its own, and who leaves ends it.
    style = MaskStyle(format=wanted.format, tolerance=wanted.tolerance, holes=wanted.holes)
    writer = MaskWriter(style, size)
    with services.metrics.timed("encode"):
        return [_prediction(writer, one, wanted.format) for one in found]


def _prediction(writer: MaskWriter, found: AutomaticMask, format: str) -> dict[str, Any]:
    stop_if_unwanted()
    if format == "rle":  # it is kept so
        body = {"masks": found.rle, "confidence": found.predicted_iou, "format": "rle"}
    else:
        body = writer.write(found.mask, found.predicted_iou)
    box, crop = found.box, found.crop
    return {
        **body,
        "stability_score": float(found.stability),
        "area": found.area,
        # As the official generator has it: from the first pixel to the last.
        "bbox": [box.left, box.top, box.size.width - 1, box.size.height - 1],
        "point_coords": [list(found.point)],
        "crop_box": [crop.left, crop.top, crop.size.width, crop.size.height],
    }
