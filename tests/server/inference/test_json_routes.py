import base64

import numpy as np
import pytest

ROUTES = ["/infer/semantic_segmentation", "/infer/instance_segmentation"]


@pytest.fixture
def ask(client, key, png):
    def ask(path=ROUTES[0], **fields):
        image = {"type": "base64", "value": base64.b64encode(png).decode()}
        body = {"api_key": key, "model_id": "colours/1", "image": image, **fields}
        return client.post(path, json=body)

    return ask


@pytest.mark.parametrize("path", ROUTES)
def test_one_image_gives_an_object(ask, path, expected, read_mask) -> None:
    body = ask(path).json()
    assert list(body) == ["inference_id", "time", "image", "predictions"]
    assert np.array_equal(read_mask(body["predictions"]["segmentation_mask"]), expected)
    assert body["predictions"]["present_class_ids"] == [0, 1, 2, 3]


@pytest.mark.parametrize("count", [1, 3])
def test_an_array_gives_an_array(ask, png, count) -> None:
    image = {"type": "base64", "value": base64.b64encode(png).decode()}
    answers = ask(image=[image] * count).json()
    assert len(answers) == count
    assert len({answer["inference_id"] for answer in answers}) == 1


def test_the_request_id_comes_back(ask) -> None:
    assert ask(id="mine").json()["inference_id"] == "mine"


def test_what_the_sdk_sends_besides_is_ignored(ask) -> None:
    answer = ask(
        visualize_predictions=False,
        disable_active_learning=False,
        allow_reduced_mask_resolution=False,
        iou_threshold=0.5,
        source="x",
    )
    assert answer.status_code == 200


def test_confidence_is_taken_as_it_is(ask) -> None:
    assert ask(confidence=1.0).json()["predictions"]["present_class_ids"] in ([0], [0, 1, 2, 3])
    assert ask(confidence=1.1).json()["predictions"]["present_class_ids"] == [0]
    assert ask(confidence="best").status_code == 200
    assert ask(confidence=None).status_code == 422
    assert ask(confidence="much").status_code == 422


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"model_id": "colours/9"}, 404),
        ({"model_id": "colours"}, 400),
        ({"model_id": "a/b/c"}, 400),
        ({"model_id": None}, 422),
        ({"image": "text"}, 422),
        ({"image": []}, 400),
        ({"image": [{"type": "base64", "value": "aGk="}] * 33}, 400),
        ({"image": {"type": "numpy", "value": "x"}}, 400),
        ({"image": {"type": "base64", "value": "aGk="}}, 400),
        ({"response_mask_format": "rle"}, 422),
        ({"response_mask_format": "numpy"}, 200),
    ],
)
def test_statuses(ask, fields, status) -> None:
    answer = ask(**fields)
    assert answer.status_code == status, answer.text
    if status != 200:
        assert isinstance(answer.json()["message"], str)


def test_broken_json_is_422(client, key) -> None:
    for content in (b"{", b"", b"\xff", b"[" * 100_000, b'{"a": NaN}'):
        answer = client.post(
            ROUTES[0],
            content=content,
            headers={"authorization": f"Bearer {key}", "content-type": "application/json"},
        )
        assert answer.status_code in (400, 422), content[:10]
        assert isinstance(answer.json()["message"], str)


def test_steps_that_are_null_are_done(ask) -> None:
    steps = ("auto_orient", "contrast", "grayscale", "static_crop")
    assert ask(**dict.fromkeys(f"disable_preproc_{step}" for step in steps)).status_code == 200


def test_bodies_are_json_whatever_curl_calls_them(client, key) -> None:
    for path in (*ROUTES, "/model/add"):
        answer = client.post(
            path,
            params={"api_key": key},
            content=b'{"model_id": "colours/9", "image": {"type": "base64", "value": "aaaa"}}',
            headers={"content-type": "application/x-www-form-urlencoded"},
        )
        assert answer.status_code == 404  # understood: there is no such model
