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
    """Write `network` in evaluation mode: (1, 3, height, width) float -> (1, classes, h, w) logits.

    One self-contained file; the batch is 1, which engines compile to the fastest network.
    """
    network = network.cpu().float().eval()
    example = torch.zeros(1, 3, size.height, size.width)
    # The exporter tells its progress on standard output and warns about its own internals.
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), quiet_exporter():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            network,
            (example,),
            dynamo=True,
            opset_version=OPSET,
            input_names=[INPUT_NAME],
            output_names=[OUTPUT_NAME],
            verbose=False,
        )
    assert program is not None  # it is None only where a path is given
    program.save(str(path), external_data=False)


@contextlib.contextmanager
def quiet_exporter():  # type: ignore[no-untyped-def]
    """Keep the exporter's logger to errors."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
