import base64
import io

import cv2
import numpy as np
import pytest
from PIL import Image

PATH = "/colours/1"


def test_both_shapes_of_answers(client, key, png, expected, read_mask) -> None:
    answer = client.post(PATH, params={"api_key": key}, content=base64.b64encode(png))
    assert answer.status_code == 200
    body = answer.json()
    assert body["image"] == {"width": 80, "height": 60}
    assert body["class_map"] == {"0": "background", "1": "red", "2": "green", "3": "blue"}
    assert np.array_equal(read_mask(body["segmentation_mask"]), expected)
    assert body["predictions"]["segmentation_mask"] == body["segmentation_mask"]
    assert body["predictions"]["class_map"] == body["class_map"]
    assert body["predictions"]["present_class_ids"] == [0, 1, 2, 3]
    confidence = read_mask(body["predictions"]["confidence_mask"])
    assert confidence.shape == expected.shape
    assert confidence[10, 20] >= 253  # red is sure
    assert isinstance(body["inference_id"], str)
    assert body["time"] > 0


def variants(png: bytes) -> list[bytes]:
    text = base64.b64encode(png)
    return [
        text,
        base64.encodebytes(png),
        text.rstrip(b"="),
        text + b"==\n",
        base64.urlsafe_b64encode(png),
        b"data:image/png;base64," + text,
        b"data:image/svg+xml;charset=utf-8;base64," + text,
        text.replace(b"+", b"%2B").replace(b"/", b"%2F").replace(b"=", b"%3D"),
        b"\xef\xbb\xbf" + text,
        png,
    ]


@pytest.mark.parametrize("index", range(10))
@pytest.mark.parametrize(
    "content_type",
    [None, "application/json", "application/x-www-form-urlencoded", "text/plain", "nonsense"],
)
def test_bodies_as_clients_send_them(client, key, png, index, content_type) -> None:
    headers = {"content-type": content_type} if content_type else {}
    answer = client.post(
        PATH, params={"api_key": key}, content=variants(png)[index], headers=headers
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()["predictions"]["present_class_ids"] == [0, 1, 2, 3]


def test_form_with_a_file(client, key, png, expected, read_mask) -> None:
    files = {"file": ("imageToUpload", png, "image/jpeg")}
    answer = client.post(PATH, params={"api_key": key, "confidence": 50}, files=files)
    assert np.array_equal(read_mask(answer.json()["segmentation_mask"]), expected)
    answer = client.post(PATH, params={"api_key": key}, files={"image": ("x.png", png)})
    assert answer.status_code == 400
    assert "part named 'file'" in answer.json()["message"]


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        (b"", "Empty image payload."),
        (b"A", "Malformed base64"),
        (b"{}", "Malformed base64"),
        (base64.b64encode(b"this is no picture"), "image"),
        (b"\xff\xd8\xff\xe0 broken", "image"),
    ],
)
def test_broken_images_are_400(client, key, body, cause) -> None:
    answer = client.post(PATH, params={"api_key": key}, content=body)
    assert answer.status_code == 400
    message = answer.json()["message"]
    assert message.startswith("Could not load input image. Cause: ")
    assert cause in message


def test_a_wrong_key_is_403(client, png) -> None:
    answer = client.post(PATH, params={"api_key": "atr_wrong"}, content=base64.b64encode(png))
    assert answer.status_code == 403
    assert answer.json()["Message"] == "User is not authorized to access this resource"
    assert isinstance(answer.json()["message"], str)


@pytest.mark.parametrize("params", [{}, {"api_key": "None"}, {"api_key": ""}])
def test_no_key_is_401(client, png, params) -> None:
    answer = client.post(PATH, params=params, content=base64.b64encode(png))
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert answer.json()["message"].startswith("Unauthorized api_key: send an active API key")
    assert "[hidden]" not in answer.json()["message"]  # no word of it is taken for a key


@pytest.mark.parametrize("path", ["/colours/2", "/nothing/1", "/Some%20Workspace/some-slug"])
def test_unknown_models_are_404(client, key, png, path) -> None:
    answer = client.post(path, params={"api_key": key}, content=base64.b64encode(png))
    assert answer.status_code == 404
    assert answer.json()["message"].startswith("Requested Roboflow resource not found.")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/workflows/run"),
        ("POST", "/sam2/nothing"),
        ("GET", "/model/add"),
        ("POST", "/infer/object_detection"),
        ("POST", "/docs/x"),
        ("GET", "/static/x.js"),
    ],
)
def test_reserved_prefixes_are_no_models(client, key, method, path) -> None:
    answer = client.request(method, path, params={"api_key": key})
    assert answer.status_code in (404, 405)
    assert "message" in answer.json()


def test_confidence_turns_unsure_pixels_into_background(
    client, key, png, colours, read_mask
) -> None:
    grey = np.full((60, 80, 3), (120, 0, 0), np.uint8)  # logits 6 and 9.4 against 6: 0.97 red
    grey[:, 40:] = (80, 0, 0)  # logits 6 and 6.27: 0.56 red
    buffer = io.BytesIO()
    Image.fromarray(grey).save(buffer, "PNG")
    present = {}
    for confidence in ("40", "0.4", None, "60", "0.6", "best", "default", "100", "1"):
        params = {"api_key": key}
        if confidence is not None:
            params["confidence"] = confidence
        answer = client.post(PATH, params=params, content=buffer.getvalue())
        mask = read_mask(answer.json()["segmentation_mask"])
        present[confidence] = (int(mask[30, 10]), int(mask[30, 70]))
    both = (1, 1)
    assert present == {
        "40": both,
        "0.4": both,
        None: both,
        "60": (1, 0),
        "0.6": (1, 0),
        "best": both,
        "default": both,
        "100": (0, 0),
        "1": both,
    }


@pytest.mark.parametrize("confidence", ["much", "nan", "inf"])
def test_bad_confidence_is_refused(client, key, png, confidence) -> None:
    answer = client.post(PATH, params={"api_key": key, "confidence": confidence}, content=png)
    assert answer.status_code == 422
    assert "confidence" in answer.json()["message"]


def test_drawn_answers(client, key, png, picture) -> None:
    params = {"api_key": key, "format": "image", "labels": "True", "stroke": 3}
    answer = client.post(PATH, params=params, content=png)
    assert answer.headers["content-type"] == "image/jpeg"
    drawn = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_COLOR_RGB)
    assert drawn.shape == picture.shape
    assert np.abs(drawn.astype(int) - picture).mean() > 2
    answer = client.post(PATH, params={**params, "format": "image_and_json"}, content=png)
    assert base64.b64decode(answer.json()["visualization"]).startswith(b"\xff\xd8")
    assert "segmentation_mask" in answer.json()
    params["stroke"] = 1000
    assert client.post(PATH, params=params, content=png).status_code == 400


def test_orientation_is_applied_unless_refused(client, key, picture, expected, read_mask) -> None:
    stored = Image.fromarray(np.rot90(picture))  # orientation 6: turn by 90 degrees clockwise
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    stored.save(buffer, "PNG", exif=exif)
    answer = client.post(PATH, params={"api_key": key}, content=buffer.getvalue())
    assert np.array_equal(read_mask(answer.json()["segmentation_mask"]), expected)
    params = {"api_key": key, "disable_preproc_auto_orient": "True"}
    answer = client.post(PATH, params=params, content=buffer.getvalue())
    assert answer.json()["image"] == {"width": 60, "height": 80}


def test_larger_pictures_get_masks_of_their_size(client, key, picture, expected, read_mask) -> None:
    large = cv2.resize(picture, (323, 241), interpolation=cv2.INTER_NEAREST)
    wanted = cv2.resize(expected, (323, 241), interpolation=cv2.INTER_NEAREST)
    buffer = io.BytesIO()
    Image.fromarray(large).save(buffer, "PNG")
    answer = client.post(PATH, params={"api_key": key}, content=buffer.getvalue())
    mask = read_mask(answer.json()["segmentation_mask"])
    assert mask.shape == (241, 323)
    assert (mask == wanted).mean() > 0.97


def test_other_image_types_are_refused(client, key, png) -> None:
    for image_type, cause in [("numpy", "NumPy image type is not supported"), ("file", "recog")]:
        params = {"api_key": key, "image_type": image_type}
        answer = client.post(PATH, params=params, content=png)
        assert answer.status_code == 400
        assert cause in answer.json()["message"]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_urls_are_refused_by_default_where_they_lead_inside(client, key, method) -> None:
    for url, cause in [
        ("http://example.com/a.png", "non https://"),
        ("https://127.0.0.1/a.png", "without FQDN"),
        ("https://localhost/a.png", "without FQDN"),
        ("file:///etc/passwd", "invalid"),
    ]:
        answer = client.request(method, PATH, params={"api_key": key, "image": url})
        assert answer.status_code == 400
        assert cause in answer.json()["message"]


def test_a_body_that_is_a_url(client, key) -> None:
    params = {"api_key": key, "image_type": "url"}
    for body, cause in [(b"http://example.com/a.png\n", "non https://"), (b" ", "Empty image")]:
        answer = client.post(PATH, params=params, content=body)
        assert answer.status_code == 400
        assert cause in answer.json()["message"]


def test_the_route_can_be_switched_off(start, key, png) -> None:
    client = start(legacy_route_enabled=False)
    for method in ("GET", "POST"):
        answer = client.request(method, PATH, params={"api_key": key}, content=png)
        assert answer.status_code == 404
        assert "message" in answer.json()
    assert PATH not in client.get("/openapi.json").json()["paths"]
    assert client.get("/start/colours/1", params={"api_key": key}).status_code == 200


def test_steps_are_switched_off_for_the_whole_server(start, key, picture) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", exif=exif)
    for off, size in ((False, {"width": 60, "height": 80}), (True, {"width": 80, "height": 60})):
        client = start(disable_preproc_auto_orient=off)
        params = {"api_key": key, "disable_preproc_auto_orient": "false"}
        answer = client.post(PATH, params=params, content=buffer.getvalue())
        assert answer.json()["image"] == size
