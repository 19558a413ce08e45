"""All objects of a photo: SAM 2 asked at a grid of points, and what it is sure of kept.

Grid, thresholds, suppression of duplicates and crops are those of the official
`SAM2AutomaticMaskGenerator`, with its defaults.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import product
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64, UInt8

from atrous.domain.geometry import Box, Size
from atrous.domain.prompts import Point, Prompt
from atrous.masks.rle import decode_rle, encode_rle
from atrous.sam2.embedding import Embedding
from atrous.sam2.photo_masks import restore_logits
from atrous.sam2.segmenter import InteractiveSegmenter
from atrous.sam2.small_regions import remove_small_regions

EDGE_PIXELS = 20.0  # so near to the edge of a crop an object may be cut off
Boxes = Float64[np.ndarray, "boxes 4"]  # left, top, right, bottom: the last pixels, included


@dataclass(frozen=True)
class AutomaticSettings:
    """How thoroughly to look, and what to keep."""

    points_per_side: int = 32  # of the grid
    points_per_batch: int = 64  # asked at once
    least_predicted_iou: float = 0.8  # 0 or less: all
    least_stability: float = 0.95
    stability_offset: float = 1.0  # of the logits' threshold
    box_nms_iou: float = 0.7  # boxes that overlap more are of one object
    crop_layers: int = 0  # 1: also 4 crops, 2: 16 more
    crop_nms_iou: float = 0.7  # as box_nms_iou, between crops
    crop_overlap: float = 512 / 1500  # share of the photo's shorter side
    crop_points_downscale: int = 1  # points per side are divided by this in each layer
    least_region_area: int = 0  # pixels: smaller holes are filled, smaller islands left out


@dataclass(frozen=True, eq=False)
class AutomaticMask:
    """One object that was found."""

    rle: dict[str, Any]  # COCO's, at the photo's size
    area: int  # pixels
    box: Box
    predicted_iou: float
    stability: float
    point: tuple[float, float]  # x and y where it was found
    crop: Box

    @property
    def mask(self) -> Bool[np.ndarray, "height width"]:
        """True on the object, at the photo's size."""
        height, width = self.rle["size"]
        return decode_rle(self.rle["counts"], Size(height, width))


@dataclass
class _Found:
    """Candidates of one crop, as parallel lists."""

    masks: list[AutomaticMask] = field(default_factory=list)
    boxes: list[tuple[int, int, int, int]] = field(default_factory=list)

    def suppress(self, scores: list[float], most_iou: float) -> "_Found":
        """Keep the best of those whose boxes overlap, best first."""
        if not self.masks:
            return self
        kept = suppress_overlaps(np.array(self.boxes, float), np.array(scores, float), most_iou)
        return _Found([self.masks[i] for i in kept], [self.boxes[i] for i in kept])


def find_masks(
    segmenter: InteractiveSegmenter,
    image: UInt8[np.ndarray, "height width 3"],
    settings: AutomaticSettings | None = None,
    *,
    embedding: Embedding | None = None,
    on_point: Callable[[int, int], None] = lambda done, total: None,
) -> list[AutomaticMask]:
    """Find all objects of an RGB photo (0..255); best predicted IoU first where there are no crops.

    embedding: of the whole photo, where it is known already.
    on_point: is told points done and points in all; what it raises ends the search.
    """
    settings = settings or AutomaticSettings()
    photo_size = Size(*image.shape[:2])
    crops = crop_boxes(photo_size, settings)
    counts = [_points_per_side(settings, layer) ** 2 for _, layer in crops]
    found = _Found()
    for index, (crop, layer) in enumerate(crops):
        if index or embedding is None:
            embedding = segmenter.embed(image[crop.top : crop.bottom, crop.left : crop.right])
        before = sum(counts[:index])
        in_crop = _search_crop(
            segmenter,
            embedding,
            crop,
            photo_size,
            _points_per_side(settings, layer),
            settings,
            partial(_count_on, on_point, before, sum(counts)),
        )
        found.masks += in_crop.masks
        found.boxes += in_crop.boxes
    if len(crops) > 1:  # masks of smaller crops are finer
        scores = [1.0 / one.crop.size.area for one in found.masks]
        found = found.suppress(scores, settings.crop_nms_iou)
    if settings.least_region_area:
        found = _clean(found, settings, on_cleaned=partial(on_point, sum(counts), sum(counts)))
    return found.masks


def _clean(
    found: _Found, settings: AutomaticSettings, on_cleaned: Callable[[], None] = lambda: None
) -> _Found:
    """Remove small regions; of masks that became alike, one that needed no change is kept."""
    cleaned, scores = _Found(), []
    for one, box in zip(found.masks, found.boxes, strict=True):
        mask, changed = remove_small_regions(one.mask, settings.least_region_area)
        if changed:
            box = _extent(mask)
            one = replace(
                one,
                rle=encode_rle(mask),
                area=int(np.count_nonzero(mask)),
                box=Box(box[0], box[1], box[2] + 1, box[3] + 1),
            )
        cleaned.masks.append(one)
        cleaned.boxes.append(box)
        scores.append(float(not changed))
        on_cleaned()
    return cleaned.suppress(scores, max(settings.box_nms_iou, settings.crop_nms_iou))


def _count_on(on_point: Callable[[int, int], None], before: int, total: int, done: int) -> None:
    on_point(before + done, total)


def point_grid(per_side: int) -> Float64[np.ndarray, "points 2"]:
    """The middles of `per_side` by `per_side` cells, x and y in 0..1, row by row."""
    offset = 1 / (2 * per_side)
    side = np.linspace(offset, 1 - offset, per_side)
    return np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)


def crop_boxes(photo_size: Size, settings: AutomaticSettings) -> list[tuple[Box, int]]:
    """The whole photo as layer 0, then overlapping crops, 4 to the power of the layer.

    Fewer of a photo that is so small that not every one would have a pixel of its own.
    """
    boxes = [(Box(0, 0, photo_size.width, photo_size.height), 0)]
    shorter = min(photo_size.height, photo_size.width)
    for layer in range(1, settings.crop_layers + 1):
        per_side = 2**layer
        overlap = int(settings.crop_overlap * shorter * (2 / per_side))
        width = math.ceil((overlap * (per_side - 1) + photo_size.width) / per_side)
        height = math.ceil((overlap * (per_side - 1) + photo_size.height) / per_side)
        lefts = [(width - overlap) * i for i in range(per_side)]
        tops = [(height - overlap) * i for i in range(per_side)]
        boxes += [
            (
                Box(
                    left,
                    top,
                    min(left + width, photo_size.width),
                    min(top + height, photo_size.height),
                ),
                layer,
            )
            for left, top in product(lefts, tops)
            if left < photo_size.width and top < photo_size.height
        ]
    return boxes


def suppress_overlaps(
    boxes: Boxes, scores: Float64[np.ndarray, " boxes"], most_iou: float
) -> list[int]:
    """Non-maximum suppression: indices of the boxes to keep, best score first."""
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    order = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    while len(order):
        best, rest = int(order[0]), order[1:]
        kept.append(best)
        corner = np.maximum(boxes[best, :2], boxes[rest, :2])
        sides = (np.minimum(boxes[best, 2:], boxes[rest, 2:]) - corner).clip(min=0)
        both = sides[:, 0] * sides[:, 1]
        # Not a division, which would be 0 / 0 for boxes one pixel wide.
        order = rest[both <= most_iou * (areas[best] + areas[rest] - both)]
    return kept


def _points_per_side(settings: AutomaticSettings, layer: int) -> int:
    return max(1, int(settings.points_per_side / settings.crop_points_downscale**layer))


def _search_crop(
    segmenter: InteractiveSegmenter,
    embedding: Embedding,
    crop: Box,
    photo_size: Size,
    per_side: int,
    settings: AutomaticSettings,
    on_point: Callable[[int], None],
) -> _Found:
    points = point_grid(per_side) * [crop.size.width, crop.size.height]
    found = _Found()
    for start in range(0, len(points), settings.points_per_batch):
        batch = points[start : start + settings.points_per_batch]
        prompts = [Prompt(points=(Point(float(x), float(y), positive=True),)) for x, y in batch]
        answers = segmenter.segment(embedding, prompts, multimask=True)
        for done, ((x, y), answer) in enumerate(zip(batch, answers, strict=True), start + 1):
            for logits, iou in zip(answer.low_res_logits, answer.predicted_iou, strict=True):
                if iou > settings.least_predicted_iou or settings.least_predicted_iou <= 0:
                    place = (float(x) + crop.left, float(y) + crop.top)
                    _consider(found, logits, float(iou), place, crop, photo_size, settings)
            on_point(done)
    return found.suppress([one.predicted_iou for one in found.masks], settings.box_nms_iou)


def _consider(
    found: _Found,
    low_res_logits: Float32[np.ndarray, "256 256"],
    predicted_iou: float,
    point: tuple[float, float],
    crop: Box,
    photo_size: Size,
    settings: AutomaticSettings,
) -> None:
    """Add a mask to what was found if it is stable, and not cut off by the edge of its crop."""
    logits = restore_logits(low_res_logits, crop.size)
    stability = _stability(logits, settings.stability_offset)
    if not stability >= settings.least_stability:  # nan where nothing is near the threshold
        return
    mask = logits > 0
    left, top, right, bottom = _extent(mask)
    box = (left + crop.left, top + crop.top, right + crop.left, bottom + crop.top)
    if _is_cut_off(box, crop, photo_size):
        return
    whole = np.zeros((photo_size.height, photo_size.width), bool)
    whole[crop.top : crop.bottom, crop.left : crop.right] = mask
    found.boxes.append(box)
    found.masks.append(
        AutomaticMask(
            rle=encode_rle(whole),
            area=int(np.count_nonzero(mask)),
            box=Box(box[0], box[1], box[2] + 1, box[3] + 1),
            predicted_iou=predicted_iou,
            stability=float(stability),
            point=point,
            crop=crop,
        )
    )


def _stability(logits: Float32[np.ndarray, "height width"], offset: float) -> float:
    """IoU of the masks at a higher and at a lower threshold."""
    outer = np.count_nonzero(logits > -offset)
    return np.count_nonzero(logits > offset) / outer if outer else math.nan


def _extent(mask: Bool[np.ndarray, "height width"]) -> tuple[int, int, int, int]:
    """Left, top, right and bottom pixels of a mask, included; zeros where it is empty."""
    columns: Int64[np.ndarray, " n"] = np.flatnonzero(mask.any(axis=0))
    rows: Int64[np.ndarray, " n"] = np.flatnonzero(mask.any(axis=1))
    if not len(columns):
        return 0, 0, 0, 0
    return int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1])


def _is_cut_off(box: tuple[int, int, int, int], crop: Box, photo_size: Size) -> bool:
    """Whether a box ends near an edge of the crop that is not an edge of the photo."""
    edges = (crop.left, crop.top, crop.right, crop.bottom)
    ends = (0, 0, photo_size.width, photo_size.height)
    return any(
        abs(side - edge) <= EDGE_PIXELS and abs(side - end) > EDGE_PIXELS
        for side, edge, end in zip(box, edges, ends, strict=True)
    )
