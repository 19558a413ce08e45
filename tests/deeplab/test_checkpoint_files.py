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
    torch.save(STATE, tmp_path / "weights.pt")
    safetensors.torch.save_file(STATE, tmp_path / "weights.safetensors")
    lightning = {"epoch": 3, "state_dict": {f"model.{key}": v for key, v in STATE.items()}}
    torch.save(lightning, tmp_path / "last.ckpt")

    for name in ("weights.pt", "weights.safetensors", "last.ckpt"):
        state = read_state_dict(tmp_path / name)
        assert sorted(state) == sorted(STATE)
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


@pytest.mark.parametrize("name", ["weights.pt", "weights.safetensors"])
@pytest.mark.parametrize("content", [b"", b"not weights", None])
def test_unreadable_file_is_named(tmp_path: Path, name: str, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(BadInput, match=name):
        read_state_dict(tmp_path / name)


@pytest.mark.parametrize("content", [[torch.ones(1)], {}, {"epoch": 3}, {"state_dict": None}])
def test_file_without_tensors_is_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "weights.pt")
    with pytest.raises(BadInput, match=r"expected (a dictionary of tensors|tensors alone)"):
        read_state_dict(tmp_path / "weights.pt")
