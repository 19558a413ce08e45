import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from atrous.datasets import zip_files
from atrous.datasets.zip_files import CheckedZip
from atrous.domain.errors import BadDataset


def write(path: Path, entries: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in entries.items():
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return path


def test_files_are_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.zip", {"train/": b"", "train/ä\u202f1.jpg": b"x" * 100, "b": b""})
    with CheckedZip(path) as archive:
        assert archive.names == ("train/ä\u202f1.jpg", "b")
        assert archive.read("train/ä\u202f1.jpg") == b"x" * 100


@pytest.mark.parametrize(
    "name", ["../a.jpg", "a/../../b", "/etc/a", "C:\\a", "C:/a", "a\\b", "a\nb", "x" * 2000]
)
def test_names_that_lead_out_are_refused(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / "a.zip", {"good.jpg": b"x", name: b"y"})
    with pytest.raises(BadDataset, match="the zip has a file"):
        CheckedZip(path)


def test_bombs_are_refused_by_their_table_of_contents(tmp_path: Path) -> None:
    path = write(tmp_path / "a.zip", {"bomb.bmp": bytes(8 << 20)})
    with pytest.raises(BadDataset, match=r"'bomb.bmp' .* more than 200 times"):
        CheckedZip(path)


@pytest.mark.parametrize(
    ("limit", "value", "said"),
    [
        ("MAX_FILES", 1, "has 2 files; send at most 1"),
        ("MAX_FILE_BYTES", 10, "unpacks to 20 bytes"),
        ("MAX_TOTAL_BYTES", 30, "unpacks to 40 bytes"),
    ],
)
def test_counts_and_sizes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: int, said: str
) -> None:
    path = write(tmp_path / "a.zip", {"a": b"x" * 20, "b": b"y" * 20})
    monkeypatch.setattr(zip_files, limit, value)
    with pytest.raises(BadDataset, match=said):
        CheckedZip(path)


def with_zip64_record(data: bytes) -> bytes:
    """The same zip, whose length of the table of contents stands in a ZIP64 record."""
    end = data.rindex(b"PK\x05\x06")
    size, start = struct.unpack_from("<II", data, end + 12)
    record = struct.pack("<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, 1, 1, size, start)
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, end, 1)
    return data[:end] + record + locator + data[end : end + 12] + b"\xff" * 8 + data[end + 20 :]


@pytest.mark.parametrize("change", [bytes, with_zip64_record])
def test_a_long_table_of_contents_is_refused_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[bytes], bytes]
) -> None:
    path = write(tmp_path / "a.zip", {"x" * 300: b"", "y" * 300: b""})
    data = bytearray(path.read_bytes())
    struct.pack_into("<HH", data, data.rindex(b"PK\x05\x06") + 8, 1, 1)  # the count is a lie
    path.write_bytes(change(bytes(data)))
    with CheckedZip(path) as archive:
        assert len(archive.names) == 2
    monkeypatch.setattr(zip_files, "MAX_FILES", 1)
    with pytest.raises(BadDataset, match="table of contents has 692 bytes; expected at most 400"):
        CheckedZip(path)


def test_large_files_are_no_table_of_contents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a.zip", {"a": b"x" * 5000}, zipfile.ZIP_STORED)
    monkeypatch.setattr(zip_files, "MAX_FILES", 1)
    with CheckedZip(path) as archive:
        assert archive.read("a") == b"x" * 5000


def test_a_name_that_is_no_utf8_where_its_file_begins(tmp_path: Path) -> None:
    path = write(tmp_path / "a.zip", {"ä": b"x", "b": b"y"})
    data = path.read_bytes()
    path.write_bytes(data.replace("ä".encode(), b"\xff\xff", 1))
    with CheckedZip(path) as archive:
        with pytest.raises(BadDataset, match="damaged in the zip"):
            archive.read("ä")
        assert archive.read("b") == b"y"


def test_a_file_that_lies_outside(tmp_path: Path) -> None:
    path = write(tmp_path / "a.zip", {"a": b"x"})
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, data.index(b"PK\x01\x02") + 42, 1_000_000)
    path.write_bytes(data)
    with pytest.raises(BadDataset, match="'a' lies outside of the zip"):
        CheckedZip(path)


def test_links_passwords_and_other_methods(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "link.zip", "w") as archive:
        archive.writestr(link, "/etc/hostname")
    with pytest.raises(BadDataset, match="link or a device"):
        CheckedZip(tmp_path / "link.zip")

    data = bytearray(write(tmp_path / "locked.zip", {"a": b"x"}).read_bytes())
    for start, field in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(start) + field] |= 1
    (tmp_path / "locked.zip").write_bytes(data)
    with pytest.raises(BadDataset, match="encrypted"):
        CheckedZip(tmp_path / "locked.zip")

    with pytest.raises(BadDataset, match="another method"):
        CheckedZip(write(tmp_path / "x.zip", {"a": b"x" * 99}, zipfile.ZIP_LZMA))


def test_entries_over_the_same_bytes_and_names_given_twice(tmp_path: Path) -> None:
    path = write(tmp_path / "a.zip", {f"{n}": bytes(range(256)) for n in range(9)})
    data = bytearray(path.read_bytes())
    place = -1
    while (place := data.find(b"PK\x01\x02", place + 1)) >= 0:  # all point at the first one
        struct.pack_into("<I", data, place + 20, 4000)
    path.write_bytes(data)
    with pytest.raises(BadDataset, match="sum up to"):
        CheckedZip(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a", b"1")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a", b"2")
    with pytest.raises(BadDataset, match="'a' twice"):
        CheckedZip(path)


def test_a_damaged_file_spoils_no_other(tmp_path: Path) -> None:
    path = write(tmp_path / "a.zip", {"a": b"x" * 50, "b": b"y" * 50}, zipfile.ZIP_STORED)
    path.write_bytes(path.read_bytes().replace(b"x" * 50, b"x" * 49 + b"z"))
    with CheckedZip(path) as archive:
        with pytest.raises(BadDataset, match="damaged"):
            archive.read("a")
        assert archive.read("b") == b"y" * 50


@pytest.mark.parametrize("data", [b"", b"PK\x05\x06", b"x" * 1000])
def test_what_is_no_zip(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(BadDataset, match="no zip"):
        CheckedZip(tmp_path / "a.zip")


def test_a_zip_that_was_cut_off(tmp_path: Path) -> None:
    path = write(tmp_path / "a.zip", {"a": b"x" * 5000})
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(BadDataset, match="no zip"):
        CheckedZip(path)
