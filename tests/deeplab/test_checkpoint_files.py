import subprocess
from pathlib import Path

import pytest
import safetensors.torch
import torch

from atrous.deeplab.checkpoint_files import bare_state_dict, read_state_dict
from atrous.domain.errors import BadInput

STATE = {"encoder.weight": torch.arange(3.0), "head.bias": torch.ones(2)}


class Planted:
    """An object whose unpickling would create a file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.file,)


def test_reads_every_kind_of_file(tmp_path: Path) -> None:
    safetensors.torch.save_file(STATE, tmp_path / "weights.safetensors")
    lightning = {"epoch": 3, "state_dict": {f"model.{key}": v for key, v in STATE.items()}}
    torch.save(lightning, tmp_path / "last.ckpt")

    for name in ("weights.safetensors", "last.ckpt"):
        state = read_state_dict(tmp_path / name)
        assert sorted(state) == sorted(STATE)
        assert list(state) == list(STATE) or name.endswith(".safetensors")
        assert all(torch.equal(value, STATE[key]) for key, value in state.items())


def test_lightning_leaves_its_own_tensors_out() -> None:
    entries = {"model.encoder.model.weight": torch.ones(1), "mean": torch.ones(3)}
    assert list(bare_state_dict({"state_dict": entries})) == ["encoder.model.weight"]


def test_code_in_a_file_is_not_run(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    torch.save({"weight": Planted(trace)}, tmp_path / "planted.pt")
    with pytest.raises(BadInput, match="state_dict"):
        read_state_dict(tmp_path / "planted.pt")
    assert not trace.exists()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("weights.pt", b""),
        ("weights.pt", b"not weights"),
        ("weights.safetensors", b""),
        ("weights.safetensors", b"not weights"),
    ],
)
def test_unreadable_file_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadInput, match=f"{name} can't be read as weights"):
        read_state_dict(tmp_path / name)


@pytest.mark.parametrize("name", ["weights.pt", "weights.safetensors"])
def test_a_missing_file_and_a_folder_are_told(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInput, match=f"there is no file .*{name}; give one"):
        read_state_dict(tmp_path / name)
    (tmp_path / name).mkdir()
    with pytest.raises(BadInput, match=f"{name} is a folder; give the file"):
        read_state_dict(tmp_path / name)


@pytest.mark.parametrize(
    "content", [[torch.ones(1)], {}, {"epoch": 3}, {"state_dict": None}, {1: torch.ones(1)}]
)
def test_file_without_tensors_is_refused(content: object) -> None:
    with pytest.raises(BadInput, match=r"expected (a dictionary of tensors|tensors alone)"):
        bare_state_dict(content)


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "ended with -11"),
        ("raise SystemError('broken')", "SystemError: broken"),
        ("import time; time.sleep(100)", "longer than 1 s"),
    ],
)
def test_a_reader_that_fails_is_a_file_that_can_not_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, reason: str
) -> None:
    (tmp_path / "weights.pt").write_bytes(b"\x80\x02.")
    run = subprocess.run

    def run_script(command: list[str], **options: object) -> object:
        return run([command[0], "-S", "-c", script], **options)

    monkeypatch.setattr("atrous.deeplab.checkpoint_files.subprocess.run", run_script)
    if "sleep" in script:
        monkeypatch.setattr("atrous.deeplab.checkpoint_files.CHILD_S", 1.0)
    with pytest.raises(BadInput, match=reason):
        read_state_dict(tmp_path / "weights.pt")
