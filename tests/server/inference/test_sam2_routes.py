"""The SAM 2 routes as clients see them."""

import base64
import io
from typing import Any

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from atrous.server.inference import sam2_answer_schemas as schemas

# pycocotools' decoder is older than NumPy 2
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

CLICK = {"points": [{"x": 100, "y": 50, "positive": True}]}
BOX = {"box": {"x": 50, "y": 50, "width": 40, "height": 20}}


def fill(polygons: list[list[list[int]]], height: int = 100, width: int = 200) -> np.ndarray:
    mask = np.zeros((height, width), np.uint8)
    for polygon in polygons:
        if polygon:
            cv2.fillPoly(mask, [np.array(polygon, np.int32)], 1)
    return mask.astype(bool)


def test_an_embedded_photo_is_prompted_without_sending_it_again(sam2, photo) -> None:
    embedded = sam2.embed(image=photo()).json()
    assert set(embedded) == {"image_id", "time"}
    schemas.EmbeddedAnswer.model_validate(embedded, strict=True)
    answer = sam2.segment(image_id=embedded["image_id"], prompts=CLICK)
    assert answer.status_code == 200
    body = answer.json()
    schemas.MasksAnswer.model_validate(body, strict=True)
    assert body["image"] == {"width": 200, "height": 100}
    [prediction] = body["predictions"]
    assert set(prediction) == {"masks", "confidence", "format"}
    assert prediction["format"] == "polygon"
    assert prediction["confidence"] == pytest.approx(0.9)
    assert fill(prediction["masks"]).sum() == pytest.approx(np.pi * 30**2, rel=0.1)
    assert len(sam2.segmenter.embedded) == 1


def test_the_ways_of_official_clients(sam2, photo) -> None:
    """As inference-sdk and its documents send them: no id, the key in the body, the old ways."""
    for prompts in ({"prompts": [CLICK]}, [CLICK], CLICK):
        body = {"api_key": sam2.key, "image": photo(), "prompts": prompts, "source": "x"}
        answer = sam2.http.post("/sam2/segment_image", json=body)
        assert len(answer.json()["predictions"]) == 1
    for prompts in ({}, {"prompts": None}, {"prompts": {"prompts": []}}, {"prompts": [{}]}):
        [prediction] = sam2.segment(image=photo(), **prompts).json()["predictions"]
        assert prediction["masks"] == [[]]  # the double answers nothing by nothing
    assert len(sam2.segmenter.embedded) == 1


def test_each_prompt_is_answered_in_its_place(sam2, photo) -> None:
    body = sam2.segment(image=photo(), prompts=[BOX, CLICK, {**CLICK, **BOX}, {}]).json()
    boxed, clicked, both, nothing = (fill(one["masks"]) for one in body["predictions"])
    assert boxed[40:60, 31:69].all()
    assert boxed.sum() == pytest.approx(800, rel=0.1)
    assert clicked[50, 100]
    assert (both != boxed | clicked).mean() < 0.001  # between cells of the grid
    assert not nothing.any()


def test_every_format(sam2, photo) -> None:
    wanted: dict[str, Any] = {"image": photo(), "prompts": CLICK}
    polygons = sam2.segment(**wanted).json()["predictions"][0]["masks"]
    rle = sam2.segment(**wanted, format="rle").json()["predictions"][0]
    assert (rle["format"], rle["masks"]["size"]) == ("rle", [100, 200])
    mask = coco_mask.decode(rle["masks"]).astype(bool)
    np.testing.assert_array_equal(fill(polygons), mask)
    png = sam2.segment(**wanted, format="png").json()["predictions"][0]["masks"]
    pixels = cv2.imdecode(np.frombuffer(base64.b64decode(png), np.uint8), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(pixels, mask * 255)
    binary = sam2.segment(**wanted, format="binary")
    assert binary.headers["content-type"] == "application/octet-stream"
    with np.load(io.BytesIO(binary.content), allow_pickle=False) as arrays:
        np.testing.assert_array_equal(arrays["masks"][0] >= 0, mask)
        assert arrays["low_res_masks"].shape == (1, 256, 256)


def test_extras(sam2, photo) -> None:
    wanted: dict[str, Any] = {"image": photo(), "prompts": CLICK}
    everything = sam2.segment(**wanted, all_masks=True, holes=True, low_res=True).json()
    schemas.MasksAnswer.model_validate(everything, strict=True)
    [prediction] = everything["predictions"]
    scores = [one["confidence"] for one in prediction["candidates"]]
    assert scores == pytest.approx([0.5, 0.9, 0.7])
    assert prediction["holes"] == [[]]
    rough = sam2.segment(**wanted, tolerance=3).json()["predictions"][0]["masks"][0]
    exact = sam2.segment(**wanted).json()["predictions"][0]["masks"][0]
    assert 3 <= len(rough) < len(exact) / 2
    preview = sam2.segment(**wanted, low_res=True, format="rle").json()["predictions"][0]
    assert preview["masks"]["size"] == [256, 256]
    single = sam2.segment(**wanted, multimask_output=False).json()["predictions"][0]
    assert single["confidence"] == pytest.approx(0.5)


def test_a_mask_that_is_sent_is_refined(sam2, photo) -> None:
    binary = sam2.segment(image=photo(), prompts=BOX, format="binary")
    with np.load(io.BytesIO(binary.content)) as arrays:
        mask_input = base64.b64encode(arrays["low_res_masks"][0].tobytes()).decode()
    [prediction] = sam2.segment(image=photo(), prompts=CLICK, mask_input=mask_input).json()[
        "predictions"
    ]
    assert fill(prediction["masks"])[50, [50, 100]].all()  # the box, and the click


def test_masks_are_kept_and_refined_on_request_only(sam2, photo) -> None:
    more = {"points": [*CLICK["points"], {"x": 20, "y": 20, "positive": True}]}
    flags = {"save_logits_to_cache": True, "load_logits_from_cache": True}
    sam2.segment(image=photo(), prompts=CLICK)
    sam2.segment(image=photo(), prompts=more, **flags)
    assert sam2.segmenter.asked[-1][0][0].mask_input is None  # nothing was saved
    sam2.segment(image=photo(), prompts=CLICK, save_logits_to_cache=True)
    sam2.segment(image=photo(), prompts=more)
    assert sam2.segmenter.asked[-1][0][0].mask_input is None  # not asked for
    sam2.segment(image=photo(seed=1), prompts=more, **flags)
    assert sam2.segmenter.asked[-1][0][0].mask_input is None  # another photo
    sam2.segment(image=photo(), prompts=more, **flags)
    assert sam2.segmenter.asked[-1][0][0].mask_input is not None
    for prompts in (None, [BOX, more]):  # no prompts, and several
        assert sam2.segment(image=photo(), prompts=prompts, **flags).status_code == 200


@pytest.mark.parametrize(
    ("prompts", "status", "reason"),
    [
        ({"points": [{"x": 201, "y": 50, "positive": True}]}, 400, "outside the photo of 200x100"),
        ({"points": [{"x": 5, "y": -1, "positive": True}]}, 400, "outside the photo"),
        ({"box": {"x": 500, "y": 50, "width": 10, "height": 10}}, 400, "x and y of a box are its"),
        ({"box": {"x": 50, "y": 50, "width": -10, "height": 10}}, 422, "greater than 0"),
        ({"points": [{"x": 5, "y": 5}]}, 422, "positive"),
        ({"points": [{"x": 5, "y": 5, "positive": True}] * 1000}, 422, "at most 100 items"),
        ([CLICK] * 1000, 422, "at most 256 items"),
        ({**CLICK, "mask_input": [[1, 2]]}, 400, "mask_input must be 256 rows"),
        ("dog", 422, "prompts"),
    ],
)
def test_bad_prompts_are_refused_with_the_reason(sam2, photo, prompts, status, reason) -> None:
    answer = sam2.segment(image=photo(), prompts=prompts)
    assert answer.status_code == status
    assert reason in answer.json()["message"]
    assert len(answer.content) < 2000  # nothing that was sent is sent back


def test_numbers_that_are_none(sam2, photo) -> None:
    sam2.embed(image=photo(), image_id="cat")
    for number in ("NaN", "Infinity", "1e999"):
        point = f'{{"x": {number}, "y": 1, "positive": true}}'
        body = f'{{"image_id": "cat", "prompts": [{{"points": [{point}]}}]}}'
        answer = sam2.http.post(
            "/sam2/segment_image",
            params={"api_key": sam2.key},
            content=body,
            headers={"content-type": "application/json"},
        )
        assert answer.status_code == 422
        assert "finite" in answer.json()["message"]


@pytest.mark.parametrize(
    ("fields", "status", "reason"),
    [
        ({}, 422, "send `image`, or the `image_id`"),
        ({"image": {"type": "base64"}}, 400, "Empty image payload."),
        ({"image": {"type": "base64", "value": "!!"}}, 400, "Malformed base64 input image."),
        ({"image": {"type": "base64", "value": "QUJD"}}, 400, "not a JPEG"),
        ({"image": {"type": "numpy", "value": "QUJD"}}, 400, "NumPy image type is not supported"),
        ({"image": {"type": "file", "value": "/etc/passwd"}}, 400, "not recognised image type"),
        ({"image": {"type": "url", "value": "http://a.de/b"}}, 400, "non https:// URL"),
        ({"image_id": "unknown"}, 400, "send it as `image`"),
        ({"image": {"type": "base64"}, "image_id": "unknown"}, 400, "send it as `image`"),
        ({"image_id": "a" * 40}, 400, "No photo is embedded"),
        ({"image": []}, 422, "image"),
    ],
)
def test_photos_that_are_none(sam2, fields, status, reason) -> None:
    for answer in (sam2.embed(**fields), sam2.segment(**fields, prompts=CLICK)):
        assert answer.status_code == status
        assert reason in answer.json()["message"]


def test_a_search_without_the_model_tells_the_command(sam2, photo) -> None:
    for name in ("hiera_large", "hiera_b_plus-2.1"):
        answer = sam2.segment(image=photo(), sam2_version_id=name)
        assert answer.status_code == 404
        assert f"atrous sam2 add {name.partition('-')[0]}" in answer.json()["message"]
    answer = sam2.segment(image=photo(), sam2_version_id="../../etc")
    assert answer.status_code == 404
    assert "hiera_tiny" in answer.json()["message"]
    answer = sam2.post("/model/add", model_id="sam2/hiera_large")
    assert answer.status_code == 404
    assert "atrous sam2 add hiera_large" in answer.json()["message"]


def test_which_model_is_meant(sam2, photo) -> None:
    cases: list[tuple[dict[str, str], str]] = [
        ({}, "hiera_tiny-2.1"),
        ({"sam2_version_id": "hiera_tiny-2.0"}, "hiera_tiny-2.0"),
        ({"sam2_version_id": "sam2/hiera_small"}, "hiera_small-2.0"),
        ({"model_id": "sam2/hiera_small"}, "hiera_small-2.0"),
        ({"model_id": "sam2/hiera_small", "sam2_version_id": "hiera_tiny"}, "hiera_tiny-2.1"),
        ({"model_id": "anything"}, "hiera_tiny-2.1"),
    ]
    for fields, name in cases:
        sam2.opened.clear()
        sam2.services.sam2.clear()
        assert sam2.segment(image=photo(), **fields).status_code == 200
        assert [one.package.name for one in sam2.opened] == [name]


def test_a_key_is_needed(sam2, photo, store) -> None:
    body = {"image": photo(), "prompts": CLICK}
    assert sam2.http.post("/sam2/segment_image", json=body).status_code == 401
    workspace = store.workspaces.default()
    other = store.api_keys.create("other", workspace, scopes=("write",)).plain_text
    assert sam2.segment(**body, key=other).status_code == 403
    assert sam2.embed(**body, key=other).status_code == 403


def test_the_registry_knows_it(sam2, photo) -> None:
    listed = sam2.post("/model/add", model_id="sam2/hiera_tiny").json()["models"]
    assert [model["model_id"] for model in listed] == ["sam2/hiera_tiny"]
    assert listed[0]["task_type"] == "unsupervised-segmentation"
    sam2.embed(image=photo(), image_id="cat")
    assert sam2.post("/model/remove", model_id="sam2/hiera_tiny").json()["models"] == []
    assert sam2.segment(image_id="cat").status_code == 200  # loaded again
    assert sam2.post("/model/clear").json()["models"] == []
    assert sam2.segment(image_id="cat").status_code == 200  # names of photos are kept
    answer = sam2.http.get("/start/sam2/hiera_tiny", params={"api_key": sam2.key})
    assert answer.status_code == 200


def test_without_keys_names_go_with_the_models(start_sam2, photo) -> None:
    """With keys they stay: they are those of other workspaces, too."""
    sam2 = start_sam2(require_key=False)
    sam2.embed(image=photo(), image_id="cat")
    assert sam2.segment(image_id="cat").status_code == 200
    assert sam2.post("/model/clear").json()["models"] == []
    assert sam2.segment(image_id="cat").status_code == 400


def test_no_project_hides_behind_the_prefix(sam2) -> None:
    for path in ("/sam2/1", "/sam2/anything"):
        assert sam2.http.post(path, params={"api_key": sam2.key}).status_code == 404
