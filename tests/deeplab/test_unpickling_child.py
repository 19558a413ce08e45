import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch

from atrous.deeplab import unpickling_child
from atrous.deeplab.checkpoint_files import CHILD
from atrous.deeplab.unpickling_child import REFUSED, main, write_tensors
from atrous.domain.errors import BadInput

SOURCE = Path(__file__).parents[2] / "src" / "atrous"


@pytest.fixture(autouse=True)
def unlimited(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limits are for good: here they would be those of all further tests."""
    monkeypatch.setattr(unpickling_child, "limit_this_process", lambda size_bytes: None)


def test_tensors_that_share_memory_come_apart(tmp_path: Path) -> None:
    whole = torch.arange(6.0).reshape(2, 3)
    state = {"whole": whole, "again": whole, "column": whole[:, 1], "turned": whole.T}
    torch.save({"model": state, "epoch": 3}, tmp_path / "weights.pt")
    names = write_tensors(tmp_path / "weights.pt", tmp_path / "out.safetensors", "model")
    assert names == list(state)  # layers are paired by their order
    written = safetensors.torch.load_file(tmp_path / "out.safetensors")
    assert sorted(written) == sorted(state)
    assert all(torch.equal(written[name], state[name]) for name in state)


def test_what_is_no_dictionary_of_tensors_is_refused(tmp_path: Path, capsys) -> None:
    torch.save({"epoch": 3}, tmp_path / "weights.pt")
    with pytest.raises(BadInput, match="expected tensors alone"):
        write_tensors(tmp_path / "weights.pt", tmp_path / "out.safetensors", "state_dict")
    code = main(str(tmp_path / "weights.pt"), str(tmp_path / "out.safetensors"), "state_dict")
    assert code == REFUSED
    assert "expected tensors alone" in json.loads(capsys.readouterr().out)["refused"]
    assert not (tmp_path / "out.safetensors").exists()


@pytest.mark.parametrize("content", [b"junk", b"PK\x03\x04 no archive", b"\x80\x02."])
def test_what_can_not_be_read_is_told(tmp_path: Path, capsys, content: bytes) -> None:
    (tmp_path / "weights.pt").write_bytes(content)
    assert main(str(tmp_path / "weights.pt"), str(tmp_path / "out"), "state_dict") == REFUSED
    assert json.loads(capsys.readouterr().out)["unreadable"]


@pytest.mark.skipif(sys.platform != "linux", reason="limits are set on Linux alone")
def test_a_file_that_takes_too_much_memory_fails_alone(tmp_path: Path) -> None:
    """Some bytes may stand for any number of numbers: a tensor with no strides."""
    script = (
        "import sys; from atrous.deeplab import unpickling_child as child\n"
        "child.SPARE_BYTES = 1 << 28\n"
        "sys.exit(child.main(*sys.argv[1:]))"
    )
    torch.save({"weight": torch.zeros(1).expand(1 << 29)}, tmp_path / "bomb.pt")  # 2 GB
    arguments = [str(tmp_path / "bomb.pt"), str(tmp_path / "out"), "state_dict"]
    ended = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True
    )
    assert ended.returncode == REFUSED, ended.stderr
    assert "memory" in json.loads(ended.stdout)["unreadable"].lower()


def test_limits_are_never_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = {}
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (100, 100))
    monkeypatch.setattr(resource, "setrlimit", lambda kind, both: limits.update({kind: both}))
    unpickling_child._lower(resource.RLIMIT_CPU, 60)
    unpickling_child._lower(resource.RLIMIT_DATA, 1000)
    assert limits == {resource.RLIMIT_CPU: (60, 60), resource.RLIMIT_DATA: (100, 100)}


def test_nothing_else_unpickles() -> None:
    """But for the weights of pip packages, where they are known by their digest."""
    callers = {
        path.relative_to(SOURCE).as_posix()
        for path in SOURCE.rglob("*.py")
        if "torch.load(" in path.read_text() or "pickle.load" in path.read_text()
    }
    child = CHILD.removeprefix("atrous.").replace(".", "/") + ".py"
    assert callers == {child, "deeplab/weights.py"}
