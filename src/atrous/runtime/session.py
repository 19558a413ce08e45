"""An ONNX network in one of two engines: OpenVINO, or ONNX Runtime where that has no platform."""

import logging
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32

from atrous.domain.errors import BadPackage, MissingDependency
from atrous.domain.geometry import Size
from atrous.runtime.engine_names import Engine as Engine
from atrous.runtime.engine_names import Precision as Precision
from atrous.runtime.onnxruntime_session import OnnxRuntimeSession
from atrous.runtime.openvino_session import OpenVinoSession

logger = logging.getLogger(__name__)


@runtime_checkable  # the tests check annotations while they run
class Session(Protocol):
    """A loaded network. It may be run from many threads, and releases the GIL meanwhile."""

    engine: str  # "openvino" or "onnxruntime"
    device: str  # "cpu", "cuda" or "tensorrt"
    precision: (
        str  # what it really computes in: "fp32", "bf16", "fp16", "tf32", "int8", "int8+bf16"
    )
    threads: int  # cores that one run keeps busy
    input_size: Size | None  # None where the graph takes any size
    class_count: int | None  # channels of the logits; None where the graph does not say
    batch_size: int | None  # pictures of one run; None where the graph takes any number
    enlarged: Size | None  # size of the logits after a last step that is left out; None: whole

    def run(
        self, batch: Float32[np.ndarray, "n 3 height width"]
    ) -> Float32[np.ndarray, "n classes out_height out_width"]:
        """Logits of preprocessed pictures, possibly smaller than the input."""
        ...

    def lend(
        self, batch: Float32[np.ndarray, "n 3 height width"]
    ) -> AbstractContextManager[Float32[np.ndarray, "n classes out_height out_width"]]:
        """`run` without a copy: the logits are the engine's own memory, used again afterwards."""
        ...

    def close(self) -> None:
        """Free the network; it must not be run any more."""
        ...


def open_session(
    weights: Path,
    *,
    engine: Engine = "auto",
    precision: Precision = "auto",
    threads: int | None = None,
    cache_folder: Path | None = None,
    input_size: Size | None = None,
    checksum: str | None = None,
    coarse: bool = False,
) -> Session:
    """Load an ONNX file; BadPackage where it can't be served.

    engine: "auto" takes OpenVINO, and ONNX Runtime where OpenVINO is not installed or does not
        know an operator of the network; the log says so. Nothing is measured here: see
        `engine_choice`.
    precision: "auto" takes bf16 on processors that are known to gain by it, else fp32.
    threads: of one run; None: all cores.
    cache_folder: where OpenVINO keeps compiled networks, for faster starts and less memory.
    input_size: fixes a network that takes any size; ignored by one that has its own.
    checksum: SHA-256 of the file, where the caller knows it.
    coarse: leave out a last step that only enlarges the logits, where the engine can; `enlarged`
        of the session then says to what size.
    """
    if engine != "onnxruntime":
        try:
            return OpenVinoSession(
                weights,
                precision=precision,
                threads=threads,
                cache_folder=cache_folder,
                input_size=input_size,
                checksum=checksum,
                coarse=coarse,
            )
        except (MissingDependency, BadPackage) as error:
            if engine == "openvino" or precision == "bf16":
                raise
            logger.warning("OpenVINO can't run this network, ONNX Runtime is tried: %s", error)
    return OnnxRuntimeSession(
        weights, precision=precision, threads=threads, cache_folder=cache_folder
    )
