"""Logits of the network -> class id and probability of every pixel of the photo."""

import numpy as np
from jaxtyping import Float32, UInt8

from atrous.domain.errors import BadPackage
from atrous.domain.geometry import Box, Size
from atrous.domain.predictions import Prediction, Thresholds
from atrous.images.preprocess import Placement
from atrous.runtime.pixel_classes import Limit, PixelClasses, find_pixel_classes
from atrous.runtime.resampling import Resampling, twice_bilinear


def restore(
    logits: Float32[np.ndarray, "channels out_height out_width"],
    placement: Placement,
    *,
    background_id: int,
    threshold: Thresholds = 0.0,
    class_count: int,
    enlarged: Size | None = None,
) -> Prediction:
    """Take one picture's logits back to the size and place of its photo.

    The padding is cut off, the logits are resized bilinearly (half-pixel centres, as PyTorch's
    align_corners=False; antialiased where that shrinks them, as torchvision's resize) to the size
    of the crop, softmax gives each pixel's winner and its probability. Pixels outside of a static
    crop are background with confidence 0; those that a center-crop cut off are background with the
    probability of a guess, 1 / class_count. A winner below `threshold` (0..1, one for all or each
    class's own) becomes background with confidence 0.

    enlarged: the size to which the network's last step would have enlarged the logits, where it
    was left out; the answer is that of the network with it.

    Channels may be `class_count`, one less (background has none: the ids move around its slot),
    or a single one, whose sigmoid is the probability of the first other class. Raises BadPackage
    for any other number.
    """
    ids = _class_ids(len(logits), background_id, class_count)
    photo, crop, part = placement.photo, placement.crop, placement.seen_in_crop
    label_map = np.empty((photo.height, photo.width), np.uint8)
    confidence = np.empty((photo.height, photo.width), np.float32)
    whole = PixelClasses(label_map, confidence)
    limit = Limit(threshold, background_id)
    if part.size != photo:
        label_map[:] = background_id
        confidence[:] = 0
        confidence[crop.top : crop.bottom, crop.left : crop.right] = 1 / class_count
        limit.apply(whole)
    rows, columns = ways_back(Size(*logits.shape[1:]), enlarged, placement, part.size)
    find_pixel_classes(logits, rows, columns, ids, whole.part(*_within(part, crop)), limit)
    return Prediction(label_map, confidence)


def _class_ids(
    channel_count: int, background_id: int, class_count: int
) -> UInt8[np.ndarray, " channels"]:
    """Class id of every channel of the network."""
    ids = np.arange(class_count, dtype=np.uint8)
    others = np.delete(ids, background_id)
    if channel_count == class_count:
        return ids
    if channel_count == class_count - 1:
        return others
    if channel_count == 1:
        return others[:1]
    raise BadPackage(
        f"the network gives {channel_count} channels and class_names.txt {class_count} names; "
        f"expected {class_count}, or {class_count - 1} without background"
    )


def ways_back(
    logits: Size, enlarged: Size | None, placement: Placement, result: Size
) -> tuple[Resampling, Resampling]:
    """From rows and columns of the logits to those of the part of the photo that was seen.

    result: how many rows and columns that part is to have.

    The logits may be coarser than the network's input, whose padding is cut off.
    """
    seen, network = placement.seen, placement.network
    between = enlarged or logits
    below, right = network.height - seen.bottom, network.width - seen.right
    rows = _without_padding(seen.top, below, between.height, network.height)
    columns = _without_padding(seen.left, right, between.width, network.width)
    return (
        twice_bilinear(logits.height, between.height, rows, result.height),
        twice_bilinear(logits.width, between.width, columns, result.width),
    )


def _without_padding(before: int, after: int, out_side: int, network_side: int) -> slice:
    """The positions without the padding before and after; at least one row or column stays."""
    start = min(round(before * out_side / network_side), out_side - 1)
    end = out_side - round(after * out_side / network_side)
    return slice(start, max(end, start + 1))


def _within(part: Box, crop: Box) -> tuple[slice, slice]:
    """A part of the crop as slices of the photo."""
    rows = slice(crop.top + part.top, crop.top + part.bottom)
    return rows, slice(crop.left + part.left, crop.left + part.right)
