"""Logits of the network -> class id and probability of every pixel of the photo."""

import cv2
import numpy as np
from jaxtyping import Float32, Int64, UInt8

from atrous.domain.errors import BadPackage
from atrous.domain.geometry import Box, Size
from atrous.domain.predictions import Prediction
from atrous.images.preprocess import Placement

STRIP_FLOATS = 1 << 18  # logits held at full resolution at a time: 1 MiB, about a core's cache


def restore(
    logits: Float32[np.ndarray, "channels out_height out_width"],
    placement: Placement,
    *,
    background_id: int,
    threshold: float = 0.0,
    class_count: int,
) -> Prediction:
    """Take one picture's logits back to the size and place of its photo.

    The padding is cut off, the logits are resized bilinearly (half-pixel centres, as PyTorch's
    align_corners=False) to the size of the crop, softmax gives each pixel's winner and its
    probability. Pixels outside of a static crop are background with confidence 0; those that a
    center-crop cut off are background with the probability of a guess, 1 / class_count. A winner
    below `threshold` (0..1) becomes background with confidence 0.

    Channels may be `class_count`, one less (background has none: the ids move around its slot),
    or a single one, whose sigmoid is the probability of the first other class. Raises BadPackage
    for any other number.
    """
    ids = _class_ids(len(logits), background_id, class_count)
    part = placement.seen_in_crop
    channels, confidence = _most_likely(_cut_padding(logits, placement), part.size)
    photo, crop = placement.photo, placement.crop
    if part.size == photo:
        label_map = ids[channels]
    else:
        label_map = np.full((photo.height, photo.width), background_id, np.uint8)
        whole = np.zeros((photo.height, photo.width), np.float32)
        whole[crop.top : crop.bottom, crop.left : crop.right] = 1 / class_count
        seen = _within(part, crop)
        label_map[seen] = ids[channels]
        whole[seen] = confidence
        confidence = whole
    if threshold > 0:
        below = confidence < threshold
        label_map[below] = background_id
        confidence[below] = 0
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


def _cut_padding(
    logits: Float32[np.ndarray, "channels out_height out_width"], placement: Placement
) -> Float32[np.ndarray, "channels height width"]:
    """The logits of what the network saw of the photo; they may be coarser than its input."""
    (_, height, width), seen, network = logits.shape, placement.seen, placement.network
    top, bottom = _scaled(seen.top, network.height - seen.bottom, height, network.height)
    left, right = _scaled(seen.left, network.width - seen.right, width, network.width)
    return logits[:, top:bottom, left:right]


def _scaled(before: int, after: int, out_side: int, network_side: int) -> tuple[int, int]:
    """Start and end without the padding before and after; at least one row or column stays."""
    start = min(round(before * out_side / network_side), out_side - 1)
    end = out_side - round(after * out_side / network_side)
    return start, max(end, start + 1)


def _within(part: Box, crop: Box) -> tuple[slice, slice]:
    """A part of the crop as slices of the photo."""
    rows = slice(crop.top + part.top, crop.top + part.bottom)
    return rows, slice(crop.left + part.left, crop.left + part.right)


def _most_likely(
    logits: Float32[np.ndarray, "channels out_height out_width"], size: Size
) -> tuple[UInt8[np.ndarray, "height width"], Float32[np.ndarray, "height width"]]:
    """The winning channel and its probability per pixel of `size`.

    Works on a few rows at a time: the probabilities of all classes of a large photo would be
    hundreds of megabytes, and these fit a core's cache.
    """
    winners = np.zeros((size.height, size.width), np.uint8)
    confidence = np.empty((size.height, size.width), np.float32)
    rows_per_strip = max(1, STRIP_FLOATS // (len(logits) * size.width))
    for first in range(0, size.height, rows_per_strip):
        strip = slice(first, min(first + rows_per_strip, size.height))
        resized = _resize_rows(logits, size, strip)
        if len(resized) == 1:
            confidence[strip] = 1 / (1 + np.exp(-resized[0]))
            continue
        best = resized.max(axis=0)
        resized -= best
        for channel in range(len(resized) - 1, 0, -1):  # the first of equals wins
            winners[strip][resized[channel] == 0] = channel
        winners[strip][resized[0] == 0] = 0
        np.exp(resized, out=resized)
        np.divide(1, resized.sum(axis=0), out=confidence[strip])
    return winners, confidence


def _resize_rows(
    logits: Float32[np.ndarray, "channels out_height out_width"], size: Size, rows: slice
) -> Float32[np.ndarray, "channels rows width"]:
    """Some rows of the logits resized to `size`, as if all of them had been."""
    low, high, weight = _row_weights(logits.shape[1], size.height, rows)
    first, last = int(low[0]), int(high[-1]) + 1
    resized = np.empty((len(logits), len(low), size.width), np.float32)
    for plane, target in zip(logits, resized, strict=True):
        # Widened by OpenCV; its own way between rows can't start in the middle of a picture.
        wide = np.asarray(
            cv2.resize(
                np.ascontiguousarray(plane[first:last]),
                (size.width, last - first),
                interpolation=cv2.INTER_LINEAR,
            )
        )
        np.take(wide, high - first, axis=0, out=target)
        below = wide[low - first]
        target -= below
        target *= weight[:, None]
        target += below
    return resized


def _row_weights(
    source_height: int, height: int, rows: slice
) -> tuple[Int64[np.ndarray, " rows"], Int64[np.ndarray, " rows"], Float32[np.ndarray, " rows"]]:
    """The two source rows of each row, and the weight of the second; half-pixel centres."""
    centers = (np.arange(rows.start, rows.stop) + 0.5) * (source_height / height) - 0.5
    centers = np.clip(centers, 0, source_height - 1)
    low = centers.astype(np.int64)
    high = np.minimum(low + 1, source_height - 1)
    return low, high, (centers - low).astype(np.float32)
