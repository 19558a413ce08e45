"""What both engines ask of a network's input and output, and running a batch in parts."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from atrous.domain.errors import BadPackage
from atrous.runtime.onnx_scan import refuse_external_data

Photos = Float32[np.ndarray, "part 3 height width"]
Logits = Float32[np.ndarray, "..."]  # of one run, not yet known to be logits


def read_network(weights: Path) -> bytes:
    """The bytes of an ONNX file that keeps its weights inside; BadPackage otherwise."""
    try:
        model = weights.read_bytes()
    except OSError as error:
        raise BadPackage(f"{weights.name} can't be read ({error.strerror})") from error
    refuse_external_data(model)
    return model


def side_length(side: Any) -> int | None:
    """A side of a shape in either engine's words; None where it is not fixed."""
    if isinstance(side, int):
        return side if side > 0 else None
    if side is None or isinstance(side, str):
        return None
    return int(side.get_length()) if side.is_static else None


def checked_input(shape: list[int | None]) -> list[int | None]:
    """The shape again, if pictures fit in; BadPackage otherwise."""
    if len(shape) != 4 or shape[1] not in (3, None):
        raise BadPackage(
            f"the network's input has shape {_words(shape)}; expected (n, 3, height, width)"
        )
    return shape


def checked_output(shape: list[int | None]) -> int | None:
    """The number of channels, where the graph says it; BadPackage for what can't be logits."""
    if len(shape) not in (0, 4):  # ONNX Runtime says [] for an output without a shape
        raise BadPackage(
            f"the network's output has shape {_words(shape)}; expected logits (n, classes, h, w)"
        )
    return shape[1] if shape else None


def _words(shape: list[int | None]) -> str:
    return "(" + ", ".join("?" if side is None else str(side) for side in shape) + ")"


def run_in_parts(
    batch: Float32[np.ndarray, "n 3 height width"],
    part_size: int,
    run: Callable[[Photos], Logits],
) -> Float32[np.ndarray, "n classes out_height out_width"]:
    """Run a batch in parts of the size that the graph wants, the last one filled with zeros.

    The answer may lie in memory that the next call of `run` writes to.
    """
    outputs = []
    for start in range(0, len(batch), part_size):
        part = batch[start : start + part_size]
        missing = part_size - len(part)
        if missing:
            part = np.concatenate([part, np.zeros((missing, *part.shape[1:]), np.float32)])
        logits = run(part)
        if logits.ndim != 4 or len(logits) != part_size or not logits.size:
            raise BadPackage(
                f"the network's output has shape {logits.shape}; expected logits (n, classes, h, w)"
            )
        whole = len(batch) <= part_size
        outputs.append(
            logits[: part_size - missing] if whole else logits[: part_size - missing].copy()
        )
    return outputs[0] if len(outputs) == 1 else np.concatenate(outputs)


def last_line(error: Exception) -> str:
    """The engine's own reason, without the lines about where in its source it was raised."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:300] if lines else type(error).__name__
