import time

import httpx
import pytest

from atrous.server.platform.links import BLOBS, Target, sign

DATA = bytes(range(256)) * 5000


@pytest.fixture
def link(client, store) -> str:
    blob = store.blobs.put(DATA)
    target = Target(blob.digest, "application/zip", time.time() + 3600)
    return f"/files/{sign(target, store.secrets.get(BLOBS))}/all.zip"


def test_a_link_needs_no_key(client, link: str) -> None:
    answer = client.get(link)
    assert answer.status_code == 200
    assert answer.content == DATA
    assert answer.headers["content-length"] == str(len(DATA))
    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["accept-ranges"] == "bytes"
    head = client.head(link)
    assert head.headers["content-length"] == str(len(DATA))
    assert head.content == b""


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=0-9", 0, 9),
        ("bytes=1270000-", 1_270_000, len(DATA) - 1),
        ("bytes=-10", len(DATA) - 10, len(DATA) - 1),
        ("bytes=5-99999999999", 5, len(DATA) - 1),
        ("bytes=-99999999999", 0, len(DATA) - 1),
    ],
)
def test_a_part_is_given(client, link: str, asked: str, first: int, last: int) -> None:
    answer = client.get(link, headers={"range": asked})
    assert answer.status_code == 206
    assert answer.headers["content-range"] == f"bytes {first}-{last}/{len(DATA)}"
    assert answer.headers["content-length"] == str(last - first + 1)
    assert answer.content == DATA[first : last + 1]


@pytest.mark.parametrize(
    "asked",
    ["bytes=9-5", "bytes=-", "bytes=0-1,5-6", "lines=1-2", "bytes=a-b", "bytes=" + "0-," * 9],
)
def test_ranges_that_are_not_understood_give_all(client, link: str, asked: str) -> None:
    answer = client.get(link, headers={"range": asked})
    assert answer.status_code == 200
    assert len(answer.content) == len(DATA)


@pytest.mark.parametrize("asked", [f"bytes={len(DATA)}-", "bytes=-0"])
def test_ranges_beyond_the_end(client, link: str, asked: str) -> None:
    answer = client.get(link, headers={"range": asked})
    assert answer.status_code == 416
    assert answer.headers["content-range"] == f"bytes */{len(DATA)}"


def test_a_part_of_another_file_is_not_given(client, link: str) -> None:
    same = client.get(link).headers["etag"]
    for condition, status in ((same, 206), ('"other"', 200)):
        headers = {"range": "bytes=0-9", "if-range": condition}
        assert client.get(link, headers=headers).status_code == status


def test_links_that_are_over_or_wrong(client, store) -> None:
    secret, digest = store.secrets.get(BLOBS), store.blobs.put(b"x").digest
    over = sign(Target(digest, "image/png", time.time() - 1), secret)
    gone = sign(Target("0" * 64, "image/png", time.time() + 3600), secret)
    for token in (over, gone, "nonsense", "a.b"):
        answer = client.get(f"/files/{token}/x.png")
        assert answer.status_code == 404
        assert answer.json()["error"]["message"]


def test_a_damaged_file_is_cut_off_not_passed_on_as_whole(running, store) -> None:
    """Over a real connection: the server closes it before the length that it promised."""
    blob = store.blobs.put(DATA)
    path = next(store.home.blobs.rglob(blob.digest))
    path.write_bytes(DATA[:-1] + b"!")
    target = Target(blob.digest, "application/zip", time.time() + 3600)
    link = f"/files/{sign(target, store.secrets.get(BLOBS))}/all.zip"
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(running().url + link, timeout=300)
