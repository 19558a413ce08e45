"""An ONNX network in one of two engines: OpenVINO, or ONNX Runtime where that has no platform."""

import logging
import queue
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32

from atrous.domain.errors import BadInput, BadPackage, MissingDependency
from atrous.domain.geometry import Size
from atrous.runtime.onnx_scan import refuse_external_data

logger = logging.getLogger(__name__)

Engine = Literal["auto", "openvino", "onnxruntime"]
Precision = Literal["auto", "fp32", "bf16"]

Photos = Float32[np.ndarray, "part 3 height width"]
Logits = Float32[np.ndarray, "..."]  # of one run, not yet known to be logits

OPENVINO_PRECISIONS = {"fp32": "f32", "bf16": "bf16"}
PRECISION_NAMES = {"f32": "fp32", "bf16": "bf16", "f16": "fp16"}  # in OpenVINO's words


@runtime_checkable  # the tests check annotations while they run
class Session(Protocol):
    """A loaded network. `run` may be called from many threads and releases the GIL."""

    engine: str  # "openvino" or "onnxruntime"
    precision: str  # what it really computes in: "fp32", "bf16" or "fp16"
    input_size: Size | None  # None where the graph takes any size
    class_count: int | None  # channels of the logits; None where the graph does not say

    def run(
        self, batch: Float32[np.ndarray, "n 3 height width"]
    ) -> Float32[np.ndarray, "n classes out_height out_width"]:
        """Logits of preprocessed pictures, possibly smaller than the input."""
        ...

    def close(self) -> None:
        """Free the network; `run` must not be called any more."""
        ...


def open_session(
    weights: Path,
    *,
    engine: Engine = "auto",
    precision: Precision = "auto",
    threads: int | None = None,
    cache_folder: Path | None = None,
    input_size: Size | None = None,
) -> Session:
    """Load an ONNX file from memory; BadPackage where it can't be served.

    engine: "auto" takes OpenVINO, and ONNX Runtime where OpenVINO is not installed or does not
        know an operator of the network; the log says so.
    precision: "auto" leaves the choice to OpenVINO (bf16 on CPUs with AVX512-BF16 or AMX).
    threads: of one run; None lets the engine choose.
    cache_folder: where OpenVINO keeps compiled networks, for faster starts.
    input_size: fixes a network that takes any size; ignored by one that has its own.
    """
    try:
        model = weights.read_bytes()
    except OSError as error:
        raise BadPackage(f"{weights.name} can't be read ({error.strerror})") from error
    refuse_external_data(model)
    if engine != "onnxruntime":
        try:
            return OpenVinoSession(
                model,
                precision=precision,
                threads=threads,
                cache_folder=cache_folder,
                input_size=input_size,
            )
        except (MissingDependency, BadPackage) as error:
            if engine == "openvino" or precision == "bf16":
                raise
            logger.warning("OpenVINO can't run this network, ONNX Runtime is tried: %s", error)
    return OnnxRuntimeSession(model, precision=precision, threads=threads)


class OpenVinoSession:
    """A network compiled by OpenVINO for the CPU, with as many requests as it finds useful."""

    engine = "openvino"

    def __init__(
        self,
        model: bytes,
        *,
        precision: Precision = "auto",
        threads: int | None = None,
        cache_folder: Path | None = None,
        input_size: Size | None = None,
    ) -> None:
        """Compile the ONNX `model`; see `open_session`."""
        try:
            import openvino  # type: ignore[import-untyped]
        except ImportError as error:
            raise MissingDependency(
                "OpenVINO is not installed; pip install openvino, or take engine 'onnxruntime'"
            ) from error
        settings: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
        if precision != "auto":
            settings["INFERENCE_PRECISION_HINT"] = OPENVINO_PRECISIONS[precision]
        if threads is not None:
            settings["INFERENCE_NUM_THREADS"] = threads
        if cache_folder is not None:
            settings["CACHE_DIR"] = str(cache_folder)
        try:
            network = openvino.Core().read_model(model)
            shape = _checked_input([_dimension(side) for side in network.input(0).partial_shape])
            batch, _, height, width = shape
            if None in shape:  # a fixed shape compiles to a faster network
                if input_size is not None:
                    height, width = height or input_size.height, width or input_size.width
                network.reshape([batch or 1, 3, height or -1, width or -1])
            self._compiled: Any = openvino.compile_model(network, "CPU", settings)
            channels = _checked_output(
                [_dimension(side) for side in self._compiled.output(0).partial_shape]
            )
            kind = self._compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
            request_count = int(self._compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
            requests = [self._compiled.create_infer_request() for _ in range(request_count)]
        except RuntimeError as error:
            raise BadPackage(f"OpenVINO can't load the network: {_last_line(error)}") from error
        self.precision = PRECISION_NAMES.get(kind, kind)
        self.input_size = Size(height, width) if height and width else None
        self.class_count = channels
        self._batch_size = batch or 1
        self._dtype = self._compiled.input(0).element_type.to_dtype()
        self._requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for request in requests:
            self._requests.put(request)

    def run(
        self, batch: Float32[np.ndarray, "n 3 height width"]
    ) -> Float32[np.ndarray, "n classes out_height out_width"]:
        """Logits of preprocessed pictures, one forward pass after the other."""
        return _run_in_parts(batch, self._batch_size, self._run_part)

    def _run_part(self, part: Photos) -> Logits:
        request = self._requests.get()
        try:
            results = request.infer(
                [np.ascontiguousarray(part, self._dtype)], share_inputs=True, share_outputs=True
            )
            # The request's own memory is overwritten by its next run.
            return np.array(results[0], np.float32)
        finally:
            self._requests.put(request)

    def close(self) -> None:
        """Free the compiled network and its requests."""
        self._requests = queue.SimpleQueue()
        self._compiled = None


class OnnxRuntimeSession:
    """A network in ONNX Runtime on the CPU, in the precision of its file."""

    engine = "onnxruntime"

    def __init__(
        self, model: bytes, *, precision: Precision = "auto", threads: int | None = None
    ) -> None:
        """Load the ONNX `model`; see `open_session`."""
        if precision == "bf16":
            raise BadInput("ONNX Runtime has no bf16 here; take precision 'auto' or OpenVINO")
        import onnxruntime  # type: ignore[import-untyped]
        from onnxruntime.capi import (  # type: ignore[import-untyped]
            onnxruntime_pybind11_state as states,
        )

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors alone: its warnings are about foreign exporters
        if threads is not None:
            options.intra_op_num_threads = threads
        try:
            self._session: Any = onnxruntime.InferenceSession(
                model, options, providers=["CPUExecutionProvider"]
            )
        except (
            states.Fail,
            states.InvalidArgument,
            states.InvalidGraph,
            states.InvalidProtobuf,
            states.NotImplemented,
            states.RuntimeException,
            RuntimeError,
            ValueError,
        ) as error:
            raise BadPackage(f"ONNX Runtime can't load the network: {_last_line(error)}") from error
        source = self._session.get_inputs()[0]
        batch, _, height, width = _checked_input([_dimension(side) for side in source.shape])
        self.class_count = _checked_output(
            [_dimension(side) for side in self._session.get_outputs()[0].shape]
        )
        self.input_size = Size(height, width) if height and width else None
        self._input_name = source.name
        self._batch_size = batch or 1
        self._dtype = np.dtype(np.float16 if source.type == "tensor(float16)" else np.float32)
        self.precision = "fp16" if self._dtype == np.float16 else "fp32"

    def run(
        self, batch: Float32[np.ndarray, "n 3 height width"]
    ) -> Float32[np.ndarray, "n classes out_height out_width"]:
        """Logits of preprocessed pictures, one forward pass after the other."""
        return _run_in_parts(batch, self._batch_size, self._run_part)

    def _run_part(self, part: Photos) -> Logits:
        outputs = self._session.run(None, {self._input_name: part.astype(self._dtype, copy=False)})
        return np.asarray(outputs[0], np.float32)

    def close(self) -> None:
        """Free the network."""
        self._session = None


def _dimension(side: Any) -> int | None:
    """A side of a shape in either engine's words; None where it is not fixed."""
    if isinstance(side, int):
        return side if side > 0 else None
    if side is None or isinstance(side, str):
        return None
    return int(side.get_length()) if side.is_static else None


def _checked_input(shape: list[int | None]) -> list[int | None]:
    if len(shape) != 4 or shape[1] not in (3, None):
        raise BadPackage(
            f"the network's input has shape {_words(shape)}; expected (n, 3, height, width)"
        )
    return shape


def _checked_output(shape: list[int | None]) -> int | None:
    """The number of channels, where the graph says it."""
    if len(shape) not in (0, 4):  # ONNX Runtime says [] for an output without a shape
        raise BadPackage(
            f"the network's output has shape {_words(shape)}; expected logits (n, classes, h, w)"
        )
    return shape[1] if shape else None


def _words(shape: list[int | None]) -> str:
    return "(" + ", ".join("?" if side is None else str(side) for side in shape) + ")"


def _run_in_parts(
    batch: Float32[np.ndarray, "n 3 height width"],
    part_size: int,
    run: Callable[[Photos], Logits],
) -> Float32[np.ndarray, "n classes out_height out_width"]:
    """Run a batch in parts of the size that the graph wants, the last one filled with zeros."""
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
        outputs.append(logits[: part_size - missing])
    return outputs[0] if len(outputs) == 1 else np.concatenate(outputs)


def _last_line(error: Exception) -> str:
    """The engine's own reason, without the lines about where in its source it was raised."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:300] if lines else type(error).__name__
