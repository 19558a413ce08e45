"""COCO run-length encoding of one mask, as a compressed string or as a list of counts."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool
from pycocotools import mask as coco_mask  # type: ignore[import-untyped]

from atrous.domain.errors import BadImage
from atrous.domain.geometry import Size

FIRST_CHARACTER = 48  # "0" holds the value 0
MAX_CHARACTERS = 7  # of one number: 35 bits, of which pycocotools uses 32
CONTINUES, SIGN = 0x20, 0x10  # bits of a character's value; the other four and SIGN are the number


def decode_rle(
    counts: str | bytes | Sequence[object], size: Size
) -> Bool[np.ndarray, "height width"]:
    """True where the mask is set.

    Counts are lengths of runs down the columns, unset first, and must fill `size` exactly, else
    BadImage is raised. (pycocotools' own decoder fills the rest with whatever lies in memory.)
    """
    given = _read_counts(counts) if isinstance(counts, (str, bytes)) else list(counts)
    lengths = [length for length in given if isinstance(length, int) and length >= 0]
    whole = len(lengths) == len(given)
    if not whole or sum(lengths) != size.area:
        raise BadImage(
            f"the RLE of {len(given)} runs doesn't fill a mask of {size}; "
            "expected whole numbers that sum up to its pixels"
        )
    is_set = np.arange(len(lengths)) % 2 == 1
    return np.repeat(is_set, lengths).reshape(size.height, size.width, order="F")


def encode_rle(mask: Bool[np.ndarray, "height width"]) -> dict[str, Any]:
    """`{"size": [height, width], "counts": compressed string}`, ready for JSON."""
    columns = cv2.transpose(np.ascontiguousarray(mask).view(np.uint8))  # 6 times faster than NumPy
    encoded = coco_mask.encode(columns.T)
    return {"size": list(mask.shape), "counts": encoded["counts"].decode("ascii")}


def _read_counts(text: str | bytes) -> list[int]:
    """Lengths of the runs: each from its third on is kept as a difference to the last but one.

    The format is that of pycocotools' maskApi.c, rleToString: base 32, lowest digit first.
    """
    raw = text.encode("ascii", errors="replace") if isinstance(text, str) else text
    digits = [character - FIRST_CHARACTER for character in raw]
    ends = [-1, *(index for index, digit in enumerate(digits) if not digit & CONTINUES)]
    is_foreign = any(not 0 <= digit < 64 for digit in digits)
    is_cut_off = ends[-1] != len(digits) - 1
    if is_foreign or is_cut_off or np.diff(ends).max(initial=0) > MAX_CHARACTERS:
        raise BadImage(f"the compressed RLE {raw[:20]!r} is damaged or cut off; export it anew")
    lengths: list[int] = []
    for before, end in pairwise(ends):
        number = digits[before + 1 : end + 1]
        value = sum((digit & 0x1F) << 5 * place for place, digit in enumerate(number))
        if number[-1] & SIGN:
            value -= 1 << 5 * len(number)
        lengths.append(value + (lengths[-2] if len(lengths) > 2 else 0))
    return lengths
