import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from atrous.domain.errors import BadImage
from atrous.domain.geometry import Size
from atrous.masks.rle import decode_rle, encode_rle

# pycocotools' decoder is older than NumPy 2
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def random_mask(seed: int, size: Size, share: float) -> np.ndarray:
    return np.random.default_rng(seed).random((size.height, size.width)) < share


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 9999),
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    share=st.sampled_from([0.0, 0.01, 0.5, 0.99, 1.0]),
)
def test_strings_of_pycocotools_come_back(seed: int, height: int, width: int, share: float) -> None:
    mask = random_mask(seed, Size(height, width), share)
    theirs = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    np.testing.assert_array_equal(decode_rle(theirs["counts"], Size(height, width)), mask)
    text = theirs["counts"].decode()
    np.testing.assert_array_equal(decode_rle(text, Size(height, width)), mask)


def test_long_runs_need_several_characters() -> None:
    mask = np.zeros((1000, 1000), dtype=bool)
    mask[300:700, 500] = mask[5, 999] = True
    counts = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"]
    np.testing.assert_array_equal(decode_rle(counts, Size(1000, 1000)), mask)


def test_list_of_counts_runs_down_the_columns() -> None:
    mask = decode_rle([1, 2, 3], Size(2, 3))
    assert mask.tolist() == [[False, True, False], [True, False, False]]
    theirs = coco_mask.decode(coco_mask.frPyObjects({"counts": [1, 2, 3], "size": [2, 3]}, 2, 3))
    np.testing.assert_array_equal(mask, theirs)


def test_encoded_mask_is_json_that_pycocotools_reads() -> None:
    mask = random_mask(3, Size(13, 17), 0.4)
    encoded = json.loads(json.dumps(encode_rle(mask)))
    assert encoded["size"] == [13, 17]
    np.testing.assert_array_equal(coco_mask.decode(encoded), mask)


@pytest.mark.parametrize(
    "counts",
    [[1, 2], [3, 4], [-1, 7], [3, 3.0], [], "", "1", "06P", "o", "zz", "\xff", b"\x00", "P" * 40],
)
def test_damage_is_refused(counts: object) -> None:
    with pytest.raises(BadImage, match="RLE"):
        decode_rle(counts, Size(2, 3))


@pytest.mark.parametrize("length", [8, 100_000])
def test_a_number_of_many_characters_is_refused(length: int) -> None:
    counts = "P" * (length - 1) + "0"  # P: a digit of 0, and more follow
    with pytest.raises(BadImage, match="compressed RLE .* is damaged"):
        decode_rle("6" + counts, Size(2, 3))
    assert not decode_rle("V" + counts[-6:], Size(2, 3)).any()  # 7 characters say 6
