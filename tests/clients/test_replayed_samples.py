"""What the samples of languages that are not installed send, byte for byte, over a raw socket.

The heads are those that the HTTP libraries of these samples write: Apple's URLSession, Java's
HttpURLConnection on Android, Ruby's Net::HTTP, PHP's http wrapper, Go's net/http and .NET's
HttpWebRequest.
"""

import base64
import http.client
import json
import socket
import textwrap
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass

import pytest

MODEL = "colours/1"
FORM = "Content-Type: application/x-www-form-urlencoded"


def standard(file: bytes) -> bytes:
    return base64.b64encode(file)


def in_lines_of_60(file: bytes) -> bytes:
    """Ruby's Base64.encode64."""
    return "".join(f"{line}\n" for line in textwrap.wrap(standard(file).decode(), 60)).encode()


@dataclass(frozen=True)
class Request:
    """A request of a sample. `{host}` and `{length}` are put into its head."""

    client: str
    call: str
    head: tuple[str, ...]
    encode: Callable[[bytes], bytes] | None = None  # None: the picture is named by URL
    method: str = "POST"
    protocol: str = "HTTP/1.1"
    names_file: bool = True  # `&name=YOUR_IMAGE.jpg`
    posts_its_url: bool = False


SWIFT = (
    "Host: {host}",
    FORM,
    "Accept: */*",
    "User-Agent: Sample/1 CFNetwork/1568.200.51 Darwin/24.1.0",
    "Accept-Language: en-GB,en;q=0.9",
    "Accept-Encoding: gzip, deflate",
    "Content-Length: {length}",
    "Connection: keep-alive",
)
ANDROID_GET = (
    "User-Agent: Dalvik/2.1.0 (Linux; U; Android 14; Pixel 7 Build/UQ1A.240205.002)",
    "Host: {host}",
    "Connection: Keep-Alive",
    "Accept-Encoding: gzip",
)
ANDROID_POST = (
    FORM,
    "Content-Language: en-US",
    "Cache-Control: no-cache",
    "Pragma: no-cache",
    *ANDROID_GET,
    "Content-Length: {length}",
)
RUBY = (
    FORM,
    "Charset: utf-8",
    "Accept-Encoding: gzip;q=1.0,deflate;q=0.6,identity;q=0.3",
    "Accept: */*",
    "User-Agent: Ruby",
    "Connection: close",
    "Host: {host}",
)
PHP = (
    "Host: {host}",
    "Connection: close",
    "Content-type: application/x-www-form-urlencoded",
)
GO = (
    "Host: {host}",
    "User-Agent: Go-http-client/1.1",
    "Content-Length: {length}",
    "Accept: application/json",
    "Accept-Encoding: gzip",
)
DOTNET = (FORM, "Host: {host}", "Content-Length: {length}")
LENGTH = "Content-Length: {length}"
LOCAL, BY_URL = "sample: local picture", "sample: picture by URL"
REQUESTS = [
    Request("Swift", LOCAL, SWIFT, standard),
    Request("Kotlin", LOCAL, ANDROID_POST, standard),
    # This sample builds a POST with the URL as its body, and in the end reads a GET.
    Request("Kotlin", f"{BY_URL}, the GET", ANDROID_GET, method="GET"),
    Request("Kotlin", f"{BY_URL}, the POST", ANDROID_POST, posts_its_url=True),
    Request("Ruby httparty", LOCAL, (*RUBY, LENGTH), in_lines_of_60, names_file=False),
    Request("Ruby httparty", BY_URL, RUBY),
    Request("PHP", LOCAL, (*PHP, LENGTH), standard),
    Request("PHP", BY_URL, PHP),
    Request("PHP", f"{LOCAL}, PHP 7", (*PHP, LENGTH), standard, protocol="HTTP/1.0"),
    Request("PHP", f"{BY_URL}, PHP 7", PHP, protocol="HTTP/1.0"),
    Request("Go", LOCAL, GO, standard),
    Request("Go", BY_URL, GO),
    Request(".NET", LOCAL, (*DOTNET, "Expect: 100-continue", "Connection: Keep-Alive"), standard),
    Request(".NET", BY_URL, (*DOTNET, "Connection: Keep-Alive")),
]


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda r: f"{r.client}, {r.call}")
def test_replayed(server, picture, pictures, check, tells, request_) -> None:
    tells(request_.client, "bytes replayed", request_.call)
    host = server.url.removeprefix("http://")
    target = f"/{MODEL}?api_key={server.key}"
    if request_.encode is None:
        target += "&image=" + urllib.parse.quote(f"{pictures[1]}/picture.png", "")
    elif request_.names_file:
        target += "&name=YOUR_IMAGE.jpg"
    body = request_.encode(picture.read_bytes()) if request_.encode else b""
    if request_.posts_its_url:
        body = f"{server.url}{target}".encode()
    lines = [f"{request_.method} {target} {request_.protocol}", *request_.head, "", ""]
    head = "\r\n".join(lines).format(host=host, length=len(body))
    name, _, port = host.partition(":")
    with socket.create_connection((name, int(port)), timeout=300) as connection:
        connection.sendall(head.encode("ascii"))
        if "100-continue" in head:
            assert connection.recv(1000).startswith(b"HTTP/1.1 100 ")
        connection.sendall(body)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        text = answer.read()
    assert answer.status == 200, text
    check(json.loads(text), picture)
