import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from atrous.cli.written_folders import explain, insist_on_room_for, make_writable, writable
from atrous.domain.errors import BadInput

Run = Callable[..., tuple[int, str, str]]


def test_a_read_only_folder_for_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert writable(tmp_path / "home") == tmp_path / "home"
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # a mode binds no administrator
    with pytest.raises(BadInput, match="Permission denied; set ATROUS_HOME"):
        writable(tmp_path / "home")


@pytest.mark.parametrize("below", ["", "x", "x/y"])
@pytest.mark.parametrize("command", [("keys", "list"), ("models", "list"), ("serve",)])
def test_a_data_folder_that_can_not_be_is_told_by_every_command(
    atrous: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: tuple[str, ...],
    below: str,
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("ATROUS_HOME", str(tmp_path / "file" / below))
    with pytest.raises(OSError, match="file") as raised:
        atrous(*command)
    said = explain(raised.value)
    reason = "Not a directory" if below else "it is a file"
    assert said == (
        f"data folder {tmp_path / 'file' / below} can't be written: {reason}; set ATROUS_HOME to a "
        "folder that can, or change its permissions"
    )


def test_other_files_are_named_without_the_number_of_the_error(home: Path) -> None:
    error = OSError(errno.EROFS, os.strerror(errno.EROFS), "/mnt/masks")
    assert explain(error) == "/mnt/masks: Read-only file system"
    assert explain(OSError("odd")) == "odd"
    home.mkdir()
    folder = IsADirectoryError(errno.EISDIR, "Is a directory", str(home.parent))
    assert explain(folder) == f"{home.parent}: Is a directory"


def test_folders_that_options_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "photo.jpg").write_text("a picture")
    with pytest.raises(
        BadInput, match="photo.jpg can't be written: it is a file; give another --o"
    ):
        make_writable(tmp_path / "photo.jpg", "--out")
    with pytest.raises(BadInput, match="a/b can't be made: .*photo.jpg: Not a directory; give ano"):
        insist_on_room_for(tmp_path / "photo.jpg/a/b", "--out")
    insist_on_room_for(tmp_path / "new/folder", "--out")
    assert not (tmp_path / "new").exists()
    make_writable(tmp_path / "new/folder", "--out")
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(BadInput, match="new/folder can't be written: Permission denied"):
        make_writable(tmp_path / "new/folder", "--out")
    with pytest.raises(BadInput, match="x can't be made: .*/new: Permission denied"):
        insist_on_room_for(tmp_path / "new/x", "--out")


def test_commands_look_at_their_folder_first(atrous: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    out = ("--out", tmp_path / "file" / "new")
    for command in (("export", "cats/1"), ("convert", "x.pt")):
        code, _, said = atrous(*command, *out)
        assert (code, "new can't be made: " in said) == (1, True)
