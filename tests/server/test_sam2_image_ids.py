import errno
from pathlib import Path

import pytest

from atrous.sam2.photo_keys import content_id_of
from atrous.server.sam2_image_ids import ImageIds

ONE, OTHER = content_id_of(b"one"), content_id_of(b"other")


def test_a_name_means_what_was_noted_last_and_only_to_its_owner() -> None:
    ids = ImageIds(10)
    assert ids.get("me", "cat") is None
    ids.note("me", "cat", ONE)
    assert ids.get("me", "cat") == ONE
    assert ids.get("you", "cat") is None
    ids.note("me", "cat", OTHER)
    assert ids.in_memory("me", "cat") == OTHER


def test_a_content_id_is_a_name_of_its_own() -> None:
    ids = ImageIds(10)
    assert ids.get("me", ONE) == ONE
    assert ids.get("me", ONE.upper()) is None
    ids.note("me", ONE, OTHER)  # a client may call a photo like that, too
    assert ids.get("me", ONE) == OTHER


def test_the_names_used_last_are_kept() -> None:
    ids = ImageIds(2)
    ids.note("me", "a", ONE)
    ids.note("me", "b", ONE)
    assert ids.get("me", "a") == ONE
    ids.note("me", "c", ONE)
    assert [ids.get("me", name) for name in "abc"] == [ONE, None, ONE]


def test_names_outlive_the_server_until_they_are_cleared(tmp_path: Path) -> None:
    folder = tmp_path / "names"
    ids = ImageIds(10, folder)
    ids.note("me", "../cat\0", ONE)
    later = ImageIds(10, folder)
    assert later.in_memory("me", "../cat\0") is None
    assert later.get("me", "../cat\0") == ONE
    assert later.in_memory("me", "../cat\0") == ONE
    assert later.get("you", "../cat\0") is None
    later.clear()
    assert later.get("me", "../cat\0") is None
    assert ImageIds(10, folder).get("me", "../cat\0") is None


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path, *_: object) -> None:
        path.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    ids = ImageIds(10, tmp_path / "names")
    monkeypatch.setattr(Path, "write_text", fail)
    ids.note("me", "cat", ONE)
    assert ids.get("me", "cat") == ONE  # until the server ends
    assert list((tmp_path / "names").iterdir()) == []


def test_what_a_killed_server_left_counts_as_no_name(tmp_path: Path) -> None:
    folder = tmp_path / "names"
    ids = ImageIds(2, folder)
    ids.note("me", "cat", ONE)
    for left in range(9):
        (folder / f".{left}").touch()
    later = ImageIds(2, folder)
    later.note("me", "dog", ONE)
    assert ImageIds(2, folder).get("me", "cat") == ONE


def test_the_folder_does_not_grow_without_bound(tmp_path: Path) -> None:
    ids = ImageIds(20, tmp_path / "names")
    for index in range(200):
        ids.note("me", str(index), ONE)
        assert len(list((tmp_path / "names").iterdir())) <= 20
    assert ImageIds(20, tmp_path / "names").get("me", "199") == ONE


@pytest.mark.parametrize("damaged", [b"", b"\xff", b"../../../etc/passwd", ONE.encode() + b"\n1"])
def test_a_damaged_file_is_no_name(tmp_path: Path, damaged: bytes) -> None:
    ids = ImageIds(10, tmp_path / "names")
    ids.note("me", "cat", ONE)
    [path] = (tmp_path / "names").iterdir()
    path.write_bytes(damaged)
    assert ImageIds(10, tmp_path / "names").get("me", "cat") is None


def test_a_full_disk_is_no_failure(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ids = ImageIds(10, tmp_path / "names")
    (tmp_path / "names").rmdir()
    ids.note("me", "cat", ONE)
    assert ids.get("me", "cat") == ONE
    assert "could not be kept" in caplog.text
