import hashlib
import http.server
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import fsspec
import pytest

from atrous.domain.errors import BadInput, DamagedBlob, MissingDependency, NotFound, Unavailable
from atrous.store.blobs import CHUNK_BYTES, Blobs

LARGE = bytes(range(256)) * (CHUNK_BYTES // 256 + 1)


def stored_path(url: str, digest: str) -> tuple[fsspec.AbstractFileSystem, str]:
    files, root = fsspec.url_to_fs(url)
    files.invalidate_cache()
    return files, f"{root}/{digest[:2]}/{digest[2:4]}/{digest}"


def test_bytes_come_back_under_their_digest(blobs: Blobs) -> None:
    blob = blobs.put(LARGE)
    assert blob.digest == hashlib.sha256(LARGE).hexdigest()
    assert blobs.size_bytes(blob.digest) == blob.size_bytes == len(LARGE)
    assert blobs.read(blob.digest) == LARGE
    assert len(list(blobs.stream(blob.digest))) == 2


def test_files_and_empty_contents_come_back(blobs: Blobs, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(LARGE)
    assert blobs.read(blobs.put_file(tmp_path / "large").digest) == LARGE
    assert blobs.read(blobs.put(b"").digest) == b""


def test_one_content_is_stored_once(blobs: Blobs, blobs_url: str) -> None:
    blob = blobs.put(b"photo")
    files, path = stored_path(blobs_url, blob.digest)
    written = files.modified(path)
    assert blobs.put(b"photo") == blob
    files.invalidate_cache()
    assert files.modified(path) == written
    assert len(files.find(path.rsplit("/", 3)[0])) == 1


def test_a_damaged_blob_is_an_error_and_is_repaired_by_the_next_put(
    blobs: Blobs, blobs_url: str
) -> None:
    blob = blobs.put(b"the original")
    files, path = stored_path(blobs_url, blob.digest)
    for damaged in (b"the 0riginal", b"the orig", b""):
        files.pipe_file(path, damaged)
        with pytest.raises(DamagedBlob, match="has changed"):
            blobs.read(blob.digest)
        assert blobs.put(b"the original") == blob
        assert blobs.read(blob.digest) == b"the original"


def test_the_end_of_a_damaged_blob_is_held_back(blobs: Blobs, blobs_url: str) -> None:
    blob = blobs.put(LARGE)
    files, path = stored_path(blobs_url, blob.digest)
    files.pipe_file(path, LARGE[:-1] + b"!")
    given: list[bytes] = []
    with pytest.raises(DamagedBlob):
        given.extend(blobs.stream(blob.digest))  # which keeps what came before
    assert 0 < sum(map(len, given)) < len(LARGE)


def test_parts_are_given(blobs: Blobs, blobs_url: str) -> None:
    blob = blobs.put(LARGE)
    for start, length in ((0, 5), (CHUNK_BYTES - 3, 9), (len(LARGE) - 1, 1)):
        assert b"".join(blobs.stream_part(blob.digest, start, length)) == LARGE[start:][:length]
    files, path = stored_path(blobs_url, blob.digest)
    files.pipe_file(path, LARGE[:10])
    files.invalidate_cache()
    with pytest.raises(DamagedBlob, match="shorter"):
        list(blobs.stream_part(blob.digest, 5, 10))


@pytest.mark.parametrize("digest", ["0" * 64, "../../etc/passwd", "", "A" * 64, "0" * 63 + "/"])
def test_what_is_not_there_is_not_found(blobs: Blobs, digest: str) -> None:
    with pytest.raises(NotFound):
        blobs.read(digest)
    with pytest.raises(NotFound):
        blobs.size_bytes(digest)


def test_several_put_one_content_at_once(tmp_path: Path) -> None:
    blobs = Blobs(str(tmp_path))
    threads = [threading.Thread(target=blobs.put, args=(LARGE,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [path.read_bytes() == LARGE for path in tmp_path.rglob("*") if path.is_file()] == [True]


def test_what_arrives_damaged_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk gives back other bytes than were written."""
    import shutil

    def spoil(reader, writer, _) -> None:
        writer.write(reader.read()[:-1])

    monkeypatch.setattr(shutil, "copyfileobj", spoil)
    blobs = Blobs(str(tmp_path))
    with pytest.raises(DamagedBlob, match="arrived damaged"):
        blobs.put(b"photo")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_urls_that_are_not_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadInput, match="as ATROUS_BLOBS_URL says .*; give a folder or s3://bucket"):
        Blobs("nowhere://bucket")

    def no_such_host(url: str) -> None:
        raise OSError(-2, "Name or service not known")

    with monkeypatch.context() as broken:
        broken.setattr(fsspec, "url_to_fs", no_such_host)
        with pytest.raises(BadInput, match="'ftp://b', as ATROUS_BLOBS_URL says .*not known"):
            Blobs("ftp://b")
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(MissingDependency, match=r"at gs:// \(ATROUS_BLOBS_URL\) .*: install that"):
        Blobs("gs://bucket")
    monkeypatch.setitem(sys.modules, "s3fs", None)
    for name in ("s3", "s3a"):
        monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, name, raising=False)
    with pytest.raises(MissingDependency, match=r"atrous\[s3\]"):
        Blobs("s3://bucket/folder")


def test_all_that_is_stored_is_listed(blobs: Blobs) -> None:
    assert list(blobs.stored()) == []
    put = {blobs.put(bytes([number])).digest for number in range(5)}
    blobs.note_owner("one database")  # is no blob
    assert {digest for digest, _, _ in blobs.stored()} == put


def test_an_owner_is_noted(blobs: Blobs, blobs_url: str) -> None:
    assert blobs.owner() is None
    blobs.note_owner("one database")
    assert Blobs(blobs_url).owner() == "one database"


class Troubled(http.server.BaseHTTPRequestHandler):
    """An S3 that says that there is a blob of 100 bytes, of which 3 arrive, and takes none."""

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("content-length", "100")
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        self.wfile.write(b"one")

    def do_PUT(self) -> None:
        self.send_response(503)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def blobs_at(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], Blobs]]:
    """Blobs in an S3 at a port of this machine."""
    s3fs = pytest.importorskip("s3fs", reason="s3fs is not installed: pip install '.[s3]'")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")

    def open_blobs(port: int) -> Blobs:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        return Blobs("s3://bucket/folder")

    s3fs.S3FileSystem.clear_instance_cache()  # it would go on with the S3 of other tests
    yield open_blobs
    s3fs.S3FileSystem.clear_instance_cache()


def test_an_s3_that_is_not_there(blobs_at, free_port, tmp_path: Path) -> None:
    blobs, digest = blobs_at(free_port()), "0" * 64
    (tmp_path / "file").write_bytes(b"photo")
    calls: list[Callable[[], object]] = [
        lambda: blobs.put(b"photo"),
        lambda: blobs.put_file(tmp_path / "file"),
        lambda: blobs.give(digest, tmp_path / "given"),
        lambda: blobs.read(digest),
        lambda: list(blobs.stream_part(digest, 0, 5)),
        lambda: blobs.size_bytes(digest),
        lambda: list(blobs.stored()),
        blobs.owner,
        lambda: blobs.note_owner("one database"),
        lambda: blobs.remove(digest, older_than_s=1.0),
    ]
    for call in calls:
        with pytest.raises(Unavailable, match="S3.*try again"):
            call()


def test_an_s3_that_breaks_off_and_one_that_is_overloaded(blobs_at) -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Troubled) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        blobs = blobs_at(server.server_address[1])
        with pytest.raises(Unavailable):
            blobs.read("0" * 64)
        with pytest.raises(Unavailable):
            blobs.note_owner("one database")
        server.shutdown()
        thread.join()
