"""Weights that others trained: read from a file without running anything that it holds."""

import pickle
from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from atrous.domain.errors import BadInput

LIGHTNING_WRAPPER = "state_dict"  # the key under which Lightning keeps the tensors
LIGHTNING_PREFIX = "model."


def read_state_dict(path: Path, *, wrapper: str = LIGHTNING_WRAPPER) -> dict[str, Tensor]:
    """Read the tensors of a `.safetensors`, `.pt`, `.pth` or Lightning `.ckpt` file onto the CPU.

    wrapper: the key under which a file that holds more than tensors keeps them.
    Pickled files are read with `weights_only=True`, so no code in them runs. BadInput for a file
    that can't be read so, or that holds no tensors.
    """
    try:
        if path.suffix == ".safetensors":
            return bare_state_dict(safetensors.torch.load_file(path), wrapper=wrapper)
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        return bare_state_dict(checkpoint, wrapper=wrapper)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, OSError) as error:
        raise BadInput(
            f"{path} can't be read as weights ({type(error).__name__}: "
            f"{str(error).splitlines()[0] if str(error) else 'no message'}): "
            "save its state_dict() alone, with torch.save or as safetensors"
        ) from error


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
    others = [key for key, value in entries.items() if not isinstance(value, Tensor)]
    if others:
        raise BadInput(f"expected tensors alone, but {others[:5]} are none: save the state_dict()")
    under_model = {
        key.removeprefix(LIGHTNING_PREFIX): value
        for key, value in entries.items()
        if key.startswith(LIGHTNING_PREFIX)
    }
    return under_model or dict(entries)
