"""An ONNX network in OpenVINO's own format, for programs that read no ONNX."""

from pathlib import Path
from typing import Any

import numpy as np

from atrous.domain.errors import ExportRefused, MissingDependency
from atrous.domain.geometry import Size
from atrous.runtime.trial_pictures import trial_pictures

MOST_DIFFERENCE = 1e-3  # of logits, as a share of the largest one


def write_openvino(weights: Path, size: Size, target: Path) -> None:
    """Write `target`, an .xml file, and its tensors beside it as .bin, and compare both networks.

    It takes one picture, which OpenVINO compiles to the fastest network. The precision is that of
    the ONNX file. Raises ExportRefused where the logits differ.
    """
    try:
        import openvino  # type: ignore[import-untyped]
    except ImportError as error:
        raise MissingDependency(
            "OpenVINO is not installed; pip install openvino, or take --format onnx"
        ) from error
    core = openvino.Core()
    network = core.read_model(weights)
    network.reshape([1, 3, size.height, size.width])
    openvino.save_model(network, target, compress_to_fp16=False)
    picture = trial_pictures(size)[-1]
    expected, given = (_logits(core, path, picture) for path in (weights, target))
    difference = float(np.abs(expected - given).max())
    # A comparison with nan is false: written so that nan is refused, too.
    if not difference <= MOST_DIFFERENCE * float(np.abs(expected).max()):
        raise ExportRefused(
            f"the network in OpenVINO's format differs from the ONNX one by up to {difference:.3g} "
            "in its logits; nothing was written. Take --format onnx"
        )


def _logits(core: Any, path: Path, picture: Any) -> Any:
    exact = {"INFERENCE_PRECISION_HINT": "f32"}
    return next(iter(core.compile_model(path, "CPU", exact)(picture).values()))
