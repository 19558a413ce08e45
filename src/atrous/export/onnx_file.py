"""A torch network as an ONNX file."""

import contextlib
import io
import logging
import warnings
from pathlib import Path

import torch
from torch import nn

from atrous.domain.geometry import Size

OPSET = 18
INPUT_NAME, OUTPUT_NAME = "image", "logits"


def export_onnx(network: nn.Module, size: Size, path: Path) -> None:
    """Write `network` in evaluation mode: (n, 3, height, width) float -> (n, classes, h, w) logits.

    One self-contained file, for batches of any n.
    """
    network = network.cpu().float().eval()
    example = torch.zeros(2, 3, size.height, size.width)  # of 1 the exporter would make a constant
    # The exporter tells its progress on standard output and warns about its own internals.
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), quiet_exporter():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            network,
            (example,),
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("n", min=1)},),
            opset_version=OPSET,
            input_names=[INPUT_NAME],
            output_names=[OUTPUT_NAME],
            verbose=False,
        )
    assert program is not None  # it is None only where a path is given
    program.save(str(path), external_data=False)


@contextlib.contextmanager
def quiet_exporter():  # type: ignore[no-untyped-def]
    """Keep the exporter's loggers to errors."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnx_ir")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
