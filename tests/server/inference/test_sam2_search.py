"""`/sam2/auto`, over a segmenter that draws a disc round each point of the grid."""

import base64
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from atrous.server.image_input import SentImage
from atrous.server.inference import sam2_answer_schemas as schemas
from atrous.server.inference import sam2_answers, sam2_photos, sam2_routes, sam2_search

# pycocotools' decoder is older than NumPy 2
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

# The double's discs of radius 30 have the score 0.9; their edge moves by a pixel, 7 % of the area.
FEW = {"points_per_side": 2, "stability_score_thresh": 0.8, "pred_iou_thresh": 0.85}


def search(sam2: Any, **body: Any) -> Any:
    return sam2.post("/sam2/auto", **{**FEW, **body})


def test_an_object_for_each_point_that_says_one(sam2, photo) -> None:
    body = search(sam2, image=photo(), format="rle").json()
    schemas.FoundMasksAnswer.model_validate(body, strict=True)
    assert body["image"] == {"width": 200, "height": 100}
    points = sorted(one["point_coords"][0] for one in body["predictions"])
    assert points == [[50.0, 25.0], [50.0, 75.0], [150.0, 25.0], [150.0, 75.0]]
    for one in body["predictions"]:
        mask = coco_mask.decode(one["masks"]).astype(bool)
        [[x, y]] = one["point_coords"]
        assert mask[int(y), int(x)]
        assert one["area"] == mask.sum()
        left, top, width, height = one["bbox"]
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        assert (left, top) == (columns[0], rows[0])
        assert (left + width, top + height) == (columns[-1], rows[-1])  # official: no pixel more
        assert one["crop_box"] == [0, 0, 200, 100]
        assert one["confidence"] == pytest.approx(0.9)
        assert 0.8 <= one["stability_score"] < 1


def test_other_formats_and_a_photo_by_its_id(sam2, photo) -> None:
    sam2.embed(image=photo(), image_id="cat")
    for form, written in (("json", "polygon"), ("png", "png")):
        predictions = search(sam2, image_id="cat", format=form).json()["predictions"]
        assert [one["format"] for one in predictions] == [written] * 4
    assert len(sam2.segmenter.embedded) == 1
    assert search(sam2, image_id="cat", pred_iou_thresh=0.95).json()["predictions"] == []


def test_a_search_that_would_take_too_long_is_refused(sam2, photo, monkeypatch) -> None:
    monkeypatch.setattr(sam2_search, "MAX_POINT_PIXELS", 4 * 200 * 100)
    assert search(sam2, image=photo()).status_code == 200
    answer = search(sam2, image=photo(), points_per_side=3)
    assert answer.status_code == 400
    assert "9 points in a photo of 20,000 pixels" in answer.json()["message"]
    assert "at most 4 points" in answer.json()["message"]


def test_the_default_grid_is_taken_for_the_largest_photos() -> None:
    assert sam2_search.MAX_POINT_PIXELS >= 32 * 32 * 100_000_000


def test_who_leaves_ends_a_search_after_a_point(sam2, photo, monkeypatch) -> None:
    """Also where one batch of points takes a minute."""
    looked = []

    def leave() -> None:
        looked.append(1)
        raise RuntimeError("of the test")

    monkeypatch.setattr(sam2_search, "stop_if_unwanted", leave)
    assert search(sam2, image=photo(), points_per_side=5).status_code == 500
    assert len(looked) == 1
    assert [len(prompts) for prompts, _ in sam2.segmenter.asked] == [25]


def test_what_was_found_is_not_refused_for_its_size(sam2, photo, monkeypatch) -> None:
    """As 84 masks of a photo of 12 megapixels would be if they came of prompts."""
    monkeypatch.setattr(sam2_answers, "MAX_PIXELS", 1)
    for form in ("json", "png"):
        assert len(search(sam2, image=photo(), format=form).json()["predictions"]) == 4


def test_parts_of_the_photo_are_encoded_on_their_own(sam2, photo) -> None:
    sam2.embed(image=photo(), image_id="cat")
    answer = search(sam2, image_id="cat", crop_n_layers=1)
    assert answer.status_code == 400
    assert "send it as `image`" in answer.json()["message"]
    assert search(sam2, image_id="cat", image=photo(seed=1), crop_n_layers=1).status_code == 409
    answer = search(sam2, image_id="cat", image=photo(), crop_n_layers=1)
    assert answer.status_code == 200
    assert len(sam2.segmenter.embedded) == 1 + 4
    crops = {tuple(one["crop_box"]) for one in answer.json()["predictions"]}
    assert len(crops) > 1


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"points_per_side": 65}, 422),
        ({"points_per_side": 0}, 422),
        ({"points_per_side": 64, "crop_n_layers": 1}, 400),
        ({"crop_n_layers": 3}, 422),
        ({"format": "binary"}, 422),
        ({"box_nms_thresh": 2}, 422),
        ({"image": None}, 422),
    ],
)
def test_what_would_be_too_much_is_refused_before_any_work(sam2, photo, fields, status) -> None:
    answer = search(sam2, **{"image": photo(), **fields})
    assert answer.status_code == status
    assert sam2.opened == [] or sam2.segmenter.embedded == []


def test_a_fetched_photo_counts_as_waiting_until_it_is_searched(sam2, photo, monkeypatch) -> None:
    file_bytes = base64.b64decode(photo()["value"])
    held: list[int] = []

    async def fetch(_: Any, url: str, hold: Callable[[int], None]) -> SentImage:
        hold(len(file_bytes))
        return SentImage(file_bytes, is_fetched=True)

    def find_nothing(*_: Any) -> list[Any]:
        held.append(sam2.services.waiting_bytes._held)
        return []

    monkeypatch.setattr(sam2_photos, "fetch_picture", fetch)
    monkeypatch.setattr(sam2_routes, "search_photo", find_nothing)
    answer = search(sam2, image={"type": "url", "value": "https://a.de/b"}, crop_n_layers=1)
    assert answer.json()["predictions"] == []
    assert held[0] > len(file_bytes)  # it, and the body
    assert sam2.services.waiting_bytes._held == 0


def test_a_click_does_not_wait_for_a_search(sam2, photo, monkeypatch) -> None:
    sam2.embed(image=photo(), image_id="cat")
    started, may_go = threading.Event(), threading.Event()
    segment = sam2.segmenter.segment

    def held(embedding: Any, prompts: Any, *, multimask: bool) -> Any:
        if len(prompts) == 4:  # the search
            started.set()
            assert may_go.wait(300)
        return segment(embedding, prompts, multimask=multimask)

    monkeypatch.setattr(sam2.segmenter, "segment", held)
    with ThreadPoolExecutor(1) as clients:
        searching = clients.submit(search, sam2, image_id="cat")
        assert started.wait(300)
        click = {"points": [{"x": 10, "y": 10, "positive": True}]}
        assert sam2.segment(image_id="cat", prompts=click).status_code == 200
        assert sam2.embed(image=photo(seed=1)).status_code == 200
        assert not searching.done()
        may_go.set()
        assert searching.result().status_code == 200
