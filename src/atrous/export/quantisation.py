"""An ONNX network in int8, by NNCF's post-training quantisation."""

import contextlib
import io
import logging
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import onnx
from jaxtyping import Float32

from atrous.domain.errors import BadPackage, MissingDependency
from atrous.export.onnx_layers import (
    classifier,
    depthwise,
    image_pooling,
    is_quantised,
    name_layers,
    takes_float32,
)
from atrous.runtime.network_io import last_line

# What is left in fp32, tried in this order until the network is good enough.
SPARING = (
    "nothing",
    "the classifier and the image pooling",
    "the classifier, the image pooling and the depthwise convolutions",
)
NO_TELEMETRY = "NNCF_CI"  # without it NNCF sends what it does to its makers

Sample = TypeVar("Sample")


def quantise(
    weights: Path,
    samples: Sequence[Sample],
    prepare: Callable[[Sample], Float32[np.ndarray, "1 3 height width"]],
    target: Path,
    sparing: str = SPARING[0],
) -> None:
    """Write the int8 network of an fp32 one, its ranges taken from `samples`.

    prepare: gives a sample as the network takes it; one is in memory at a time.
    sparing: one of SPARING.

    The file has QuantizeLinear and DequantizeLinear nodes, which every engine reads: weights in
    int8 per channel, activations in 8 bits with a zero point where they go below zero, biases
    corrected. Raises BadPackage for a network that is not fp32 or that NNCF does not understand.
    """
    nncf = import_nncf()
    model = onnx.load(weights)
    name_layers(model)
    _require_float32(model)
    source = model.graph.input[0].name
    with _quietly(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            quantised = nncf.quantize(
                model,
                nncf.Dataset(samples, lambda sample: {source: prepare(sample)}),
                preset=nncf.QuantizationPreset.MIXED,
                subset_size=len(samples),
                ignored_scope=nncf.IgnoredScope(names=_spared(model, sparing), validate=False),
            )
        except (nncf.InternalError, nncf.ValidationError, RuntimeError, ValueError) as error:
            raise BadPackage(
                f"{weights.name} can't be quantised: {last_line(error)}; export it in fp16 instead"
            ) from error
    onnx.save(quantised, target)


def import_nncf() -> Any:
    """NNCF, without its telemetry; MissingDependency where it is not installed."""
    os.environ.setdefault(NO_TELEMETRY, "1")
    kind = logging.getLoggerClass()
    try:
        import nncf  # type: ignore[import-untyped]
    except ImportError as error:
        raise MissingDependency(
            "int8 networks are made by NNCF, which is not installed; "
            "run: pip install 'atrous[export]'"
        ) from error
    finally:
        logging.setLoggerClass(kind)  # NNCF makes everybody's new loggers ones of its own kind
    logging.getLogger("nncf").setLevel(logging.ERROR)  # NNCF's own setter mutes others' handlers
    return nncf


def _require_float32(model: onnx.ModelProto) -> None:
    if is_quantised(model):
        raise BadPackage("the network is in int8 already; export it from its fp32 package")
    if not takes_float32(model):
        raise BadPackage("the network does not take float32 pictures; export its fp32 package")


def _spared(model: onnx.ModelProto, sparing: str) -> list[str]:
    """Names of the layers that stay in fp32."""
    level = SPARING.index(sparing)
    names = [*classifier(model), *image_pooling(model)] if level >= 1 else []
    return [*names, *depthwise(model)] if level >= 2 else names


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Without NNCF's progress bars on standard output."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield
