"""Weights that others trained: read from a file without running anything that it holds."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from atrous.domain.errors import BadInput

LIGHTNING_WRAPPER = "state_dict"  # the key under which Lightning keeps the tensors
LIGHTNING_PREFIX = "model."
CHILD = "atrous.deeplab.unpickling_child"
CHILD_S = 300.0  # and a second more per SLOWEST_BYTES: also on a busy machine with a slow disk
SLOWEST_BYTES = 5_000_000
PICKLED = (b"PK\x03\x04", b"\x80")  # a zip, as since PyTorch 1.6, or the pickle itself
SAVE_ANEW = "save its state_dict() alone, with torch.save or as safetensors"


def read_state_dict(path: Path, *, wrapper: str = LIGHTNING_WRAPPER) -> dict[str, Tensor]:
    """Read the tensors of a `.safetensors`, `.pt`, `.pth` or Lightning `.ckpt` file onto the CPU.

    wrapper: the key under which a file that holds more than tensors keeps them.
    A pickled file is opened in a child process, which runs no code of it (`weights_only`) and
    hands over its tensors alone. BadInput for a file that is not there, can't be read so, or holds
    no tensors.
    """
    if path.is_dir():
        raise BadInput(f"{path} is a folder; give the file of weights in it")
    if not path.exists():
        raise BadInput(f"there is no file {path}; give one with weights")
    try:
        if path.suffix == ".safetensors":
            return bare_state_dict(safetensors.torch.load_file(path), wrapper=wrapper)
        size_bytes = path.stat().st_size
        _refuse_other_kinds(path)
    except (SafetensorError, EOFError, OSError) as error:
        raise _unreadable(path, f"{type(error).__name__}: {_first_line(str(error))}") from error
    return _read_in_child(path, wrapper, CHILD_S + size_bytes / SLOWEST_BYTES)


def _refuse_other_kinds(path: Path) -> None:
    """At once, without a process for them."""
    with path.open("rb") as file:
        start = file.read(4)
    if not start:
        raise EOFError("the file is empty")
    if not start.startswith(PICKLED):
        raise OSError(f"it begins with {start!r}, as no file of torch.save does")


def _read_in_child(path: Path, wrapper: str, timeout_s: float) -> dict[str, Tensor]:
    with tempfile.TemporaryDirectory(prefix="atrous-weights-") as folder:
        target = Path(folder) / "tensors.safetensors"
        command = [sys.executable, "-m", CHILD, str(path.resolve()), str(target), wrapper]
        try:
            child = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s)
        except subprocess.TimeoutExpired as error:
            raise _unreadable(path, f"it took longer than {timeout_s:.0f} s") from error
        said = json.loads(child.stdout) if child.stdout.startswith("{") else {}
        if child.returncode == 0 and "names" in said:
            tensors = safetensors.torch.load_file(target)
            return {name: tensors[name] for name in said["names"]}
    if "refused" in said:
        raise BadInput(said["refused"])
    last = child.stderr.strip().rpartition("\n")[2]
    end = f"its reader ended with {child.returncode}: {last[:200] or 'no message'}"
    raise _unreadable(path, said.get("unreadable", end))


def _unreadable(path: Path, reason: str) -> BadInput:
    return BadInput(f"{path} can't be read as weights ({reason}): {SAVE_ANEW}")


def _first_line(text: str) -> str:
    return text.splitlines()[0] if text else "no message"


def bare_state_dict(checkpoint: object, *, wrapper: str = LIGHTNING_WRAPPER) -> dict[str, Tensor]:
    """The network's tensors of a state dict or of a Lightning checkpoint that wraps one.

    Lightning keeps them under `state_dict`, with the prefix `model.` of the attribute that held
    the network; what lies beside it there (losses, mean, std) is left out.
    """
    if not isinstance(checkpoint, Mapping):
        raise BadInput(f"expected a dictionary of tensors, got {type(checkpoint).__name__}")
    entries = checkpoint.get(wrapper, checkpoint)
    if not isinstance(entries, Mapping) or not entries:
        raise BadInput("expected a dictionary of tensors, got an empty one or none")
    others = [
        key
        for key, value in entries.items()
        if not isinstance(value, Tensor) or not isinstance(key, str)
    ]
    if others:
        raise BadInput(f"expected tensors alone, but {others[:5]} are none: save the state_dict()")
    under_model = {
        key.removeprefix(LIGHTNING_PREFIX): value
        for key, value in entries.items()
        if key.startswith(LIGHTNING_PREFIX)
    }
    return under_model or dict(entries)
