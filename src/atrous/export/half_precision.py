"""An ONNX network in fp16: half the file, and faster where the processor computes in fp16."""

import logging
import warnings
from pathlib import Path

import onnx

from atrous.domain.errors import BadPackage
from atrous.export.onnx_layers import is_quantised, name_layers, takes_float32


def halve(weights: Path, target: Path) -> None:
    """Write the fp16 network of an fp32 one; its input and output stay float32.

    Values beyond fp16's range become its largest, or smallest, number. CPUs, which have no fp16
    convolutions, are given fp32 again by their engines. Raises BadPackage for a network that is
    not fp32.
    """
    from onnxruntime.transformers.float16 import (  # type: ignore[import-untyped]
        convert_float_to_float16,
    )

    model = onnx.load(weights)
    if is_quantised(model) or not takes_float32(model):
        raise BadPackage("the network is not in fp32; export it from its fp32 package")
    name_layers(model)
    quiet = logging.getLogger("onnxruntime.transformers.float16")
    before = quiet.level
    quiet.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the values that it clips
            halved = convert_float_to_float16(model, keep_io_types=True)
    finally:
        quiet.setLevel(before)
    onnx.save(halved, target)
