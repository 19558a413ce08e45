"""What the samples of the hosted API's documentation put on the wire, language by language.

`tests/clients` runs those whose language is installed; here are the requests of all of them.
"""

import base64
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

PATH = "/colours/1"
FORM = "application/x-www-form-urlencoded"


def with_line_breaks(png: bytes) -> bytes:
    return base64.encodebytes(png)


# sample: content type, how the body is made of the picture's bytes, other headers
LOCAL = {
    "curl -d @-": (FORM, lambda png: with_line_breaks(png).replace(b"\n", b""), {}),
    "curl -d @- on Windows": (FORM, lambda png: with_line_breaks(png).replace(b"\n", b"\r"), {}),
    "curl --data-binary": (FORM, with_line_breaks, {}),
    "axios": (FORM, base64.b64encode, {"accept": "application/json, text/plain, */*"}),
    "Swift": (FORM, base64.b64encode, {}),
    "Kotlin and Java": (FORM, base64.b64encode, {"content-language": "en-US"}),
    "Ruby": (FORM, with_line_breaks, {"charset": "utf-8"}),
    "PHP": (FORM, base64.b64encode, {}),
    "Go": (None, base64.b64encode, {"accept": "application/json"}),
    ".NET": (FORM, base64.b64encode, {"expect": "100-continue"}),
    "inference-sdk": ("application/json", base64.b64encode, {}),
    "binary upload": ("application/octet-stream", lambda png: png, {}),
    "image/jpeg": ("image/jpeg", lambda png: png, {}),
}


@pytest.mark.parametrize("sample", LOCAL)
@pytest.mark.parametrize("method", ["POST", "GET"])
def test_local_pictures(client, key, png, expected, read_mask, sample, method) -> None:
    content_type, encode, headers = LOCAL[sample]
    if content_type:
        headers = {**headers, "content-type": content_type}
    params = {"api_key": key, "name": "YOUR_IMAGE.jpg"}
    answer = client.request(method, PATH, params=params, content=encode(png), headers=headers)
    assert answer.status_code == 200, answer.text
    assert np.array_equal(read_mask(answer.json()["segmentation_mask"]), expected)


@pytest.fixture
def picture_url(png) -> Iterator[str]:
    class Picture(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(png)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Picture) as web:
        thread = threading.Thread(target=web.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{web.server_address[1]}/a%20picture.png?size=large&x=1"
        web.shutdown()
        thread.join()


# sample: method, content type, body made of the request's own URL
HOSTED = {
    "curl -X POST": ("POST", None, lambda url: b""),
    "axios": ("POST", FORM, lambda url: b""),
    "Kotlin and Java, what they build": ("POST", FORM, lambda url: url.encode()),
    "Kotlin and Java, what they send": ("GET", None, lambda url: b""),
    "Ruby and PHP": ("POST", FORM, lambda url: b""),
    ".NET": ("POST", FORM, lambda url: b""),
    "a form": ("POST", "multipart/form-data; boundary=x", lambda url: b"--x nonsense"),
    "JSON": ("POST", "application/json", lambda url: b'{"image": 5}'),
    "a picture as well": ("POST", "image/png", lambda url: b"\x89PNG"),
}


@pytest.mark.parametrize("sample", HOSTED)
def test_pictures_by_url(start, key, expected, read_mask, picture_url, sample) -> None:
    client = start(
        allow_non_https_url_input=True,
        allow_url_input_without_fqdn=True,
        allow_url_to_non_global_addresses=True,
        url_timeout_s=300.0,
    )
    method, content_type, body = HOSTED[sample]
    headers = {"content-type": content_type} if content_type else {}
    params = {"api_key": key, "image": picture_url}
    answer = client.request(method, PATH, params=params, content=body(picture_url), headers=headers)
    assert answer.status_code == 200, answer.text
    assert np.array_equal(read_mask(answer.json()["segmentation_mask"]), expected)


def test_a_workspace_and_a_slug(client, key, png, expected, read_mask) -> None:
    headers = {"authorization": f"Bearer {key}"}
    for path in ("/default/colours", "/default/colours-1"):
        answer = client.post(path, headers=headers, content=base64.b64encode(png))
        assert np.array_equal(read_mask(answer.json()["segmentation_mask"]), expected)
    answer = client.post("/default/colours-7", headers=headers, content=base64.b64encode(png))
    assert answer.status_code == 404
    assert answer.json()["message"].startswith("Requested Roboflow resource not found.")


def test_steps_of_preprocessing_can_be_left_out(
    client, key, png, expected, read_mask, store, colours, tmp_path
) -> None:
    """A model that sees grey finds no colour, unless it is told to leave that step out."""
    package = colours.write_colour_package(tmp_path / "grey", grayscale=True)
    store.models.publish("grey", package, workspace_id=store.workspaces.default().id)
    masks = [
        read_mask(
            client.post("/grey/1", params={"api_key": key, **params}, content=png).json()[
                "segmentation_mask"
            ]
        )
        for params in ({}, {"disable_preproc_grayscale": "True"})
    ]
    assert not np.array_equal(masks[0], expected)
    assert np.array_equal(masks[1], expected)
