"""The networks of SAM 2 in an engine: OpenVINO, or ONNX Runtime."""

import os
import weakref
from collections import deque
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, runtime_checkable

import numpy as np

from atrous.domain.errors import BadInput, BadPackage, MissingDependency
from atrous.runtime.engine_names import EngineName, Precision, PrecisionName
from atrous.runtime.network_io import last_line
from atrous.runtime.onnx_scan import refuse_external_data
from atrous.runtime.processor import available_cores

DEVICE = "CPU"
HINTS = {"fp32": "f32", "bf16": "bf16"}  # precisions in OpenVINO's words
Arrays = Sequence[np.ndarray]
NO_SHAPES: Mapping[str, Sequence[int]] = MappingProxyType({})


@runtime_checkable  # the tests check annotations while they run
class Network(Protocol):
    """A loaded network. `run` may be called from many threads, and releases the GIL meanwhile."""

    engine: EngineName
    precision: PrecisionName  # in which it computes

    def run(self, inputs: Arrays) -> tuple[np.ndarray, ...]:
        """Outputs in the graph's order, as float32, for inputs in the graph's order."""
        ...

    def close(self) -> None:
        """Free the network; `run` must not be called any more."""
        ...


@runtime_checkable
class Graph(Protocol):
    """An ONNX file: a path, or one that is kept open."""

    @property
    def name(self) -> str:
        """The file's."""
        ...

    def read_bytes(self) -> bytes:
        """All of it; OSError where that is not possible."""
        ...


class KeptGraph:
    """An ONNX file that is read later, the same also when its package is replaced or removed.

    What is loaded when somebody needs it has to fit what was loaded before.
    """

    def __init__(self, path: Path) -> None:
        """Open the file; BadPackage where it can't be."""
        self.name = path.name
        try:
            self._handle = os.open(path, os.O_RDONLY)
        except OSError as error:
            raise BadPackage(f"{self.name} can't be read ({error.strerror})") from error
        weakref.finalize(self, os.close, self._handle)  # when nobody needs it any more

    def read_bytes(self) -> bytes:
        """All of it; may be called from many threads."""
        return os.pread(self._handle, os.fstat(self._handle).st_size, 0)


def open_network(
    graph: Graph,
    *,
    engine: EngineName = "openvino",
    precision: Precision = "fp32",
    threads: int | None = None,
    half_inputs: int = 0,
    side_by_side: int = 1,
    fixed_shapes: Mapping[str, Sequence[int]] = NO_SHAPES,
) -> Network:
    """Load an ONNX file; BadPackage where the engine can't.

    threads: of one run; None: all cores.
    half_inputs: so many of the first inputs come as float16.
    side_by_side: so many runs at once, each on as many threads; OpenVINO's alone.
    fixed_shapes: of inputs that always come so, for which OpenVINO finds quicker ways.
    """
    if precision == "auto":
        raise BadInput("the precision must be chosen: fp32 or bf16")
    try:
        model = graph.read_bytes()
    except OSError as error:
        raise BadPackage(f"{graph.name} can't be read ({error.strerror})") from error
    refuse_external_data(model)
    if engine == "onnxruntime":
        if precision == "bf16":
            raise BadInput("ONNX Runtime has no bf16 here; take precision 'fp32' or OpenVINO")
        return OnnxRuntimeNetwork(model, threads, half_inputs)
    return OpenVinoNetwork(model, precision, threads, half_inputs, side_by_side, fixed_shapes)


class OpenVinoNetwork:
    """A network compiled by OpenVINO, one run after the other on all its cores, or several."""

    engine: EngineName = "openvino"

    def __init__(
        self,
        model: bytes,
        precision: PrecisionName,
        threads: int | None,
        half_inputs: int,
        side_by_side: int = 1,
        fixed_shapes: Mapping[str, Sequence[int]] = NO_SHAPES,
    ) -> None:
        """Compile the ONNX `model`; see `open_network`."""
        settings = {
            "INFERENCE_PRECISION_HINT": HINTS[precision],
            "INFERENCE_NUM_THREADS": side_by_side * (threads or available_cores()),
            # Clicks are answered in the order in which they came, each as fast as possible.
            "NUM_STREAMS": side_by_side,
            "ENABLE_CPU_PINNING": False,  # the cores also decode and encode
        }
        core = shared_core()
        try:
            network = core.read_model(model)
            if fixed_shapes:
                network.reshape({name: list(shape) for name, shape in fixed_shapes.items()})
            if half_inputs:
                network = _with_half_inputs(network, half_inputs)
            self._compiled: Any = core.compile_model(network, DEVICE, settings)
        except RuntimeError as error:
            raise BadPackage(f"OpenVINO can't load the network: {last_line(error)}") from error
        self.precision = precision
        self._types = [source.element_type.to_dtype() for source in self._compiled.inputs]
        self._idle: deque[Any] = deque()

    def run(self, inputs: Arrays) -> tuple[np.ndarray, ...]:
        """Outputs as float32."""
        try:
            request = self._idle.popleft()
        except IndexError:
            request = self._compiled.create_infer_request()
        try:
            given = [
                np.ascontiguousarray(array, dtype)
                for array, dtype in zip(inputs, self._types, strict=True)
            ]
            results = request.infer(given, share_inputs=True, share_outputs=True)
            # The request's own memory is overwritten by its next run.
            return tuple(np.array(results[i], np.float32) for i in range(len(results)))
        finally:
            self._idle.append(request)

    def close(self) -> None:
        """Free the compiled network and its requests."""
        self._idle.clear()
        self._compiled = None


class OnnxRuntimeNetwork:
    """A network in ONNX Runtime on the CPU."""

    engine: EngineName = "onnxruntime"
    precision: PrecisionName = "fp32"

    def __init__(self, model: bytes, threads: int | None, half_inputs: int) -> None:
        """Load the ONNX `model`; see `open_network`. `half_inputs` are converted."""
        import onnxruntime  # type: ignore[import-untyped]
        from onnxruntime.capi import (  # type: ignore[import-untyped]
            onnxruntime_pybind11_state as states,
        )

        del half_inputs  # NumPy converts whatever comes
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors alone
        options.intra_op_num_threads = threads or available_cores()
        try:
            self._session: Any = onnxruntime.InferenceSession(
                model, options, providers=["CPUExecutionProvider"]
            )
        except (
            *(states.Fail, states.InvalidArgument, states.InvalidGraph, states.InvalidProtobuf),
            *(states.NotImplemented, states.RuntimeException, RuntimeError, ValueError),
        ) as error:
            raise BadPackage(f"ONNX Runtime can't load the network: {last_line(error)}") from error
        sources = self._session.get_inputs()
        self._names = [source.name for source in sources]
        self._types = [np.int64 if "int64" in source.type else np.float32 for source in sources]

    def run(self, inputs: Arrays) -> tuple[np.ndarray, ...]:
        """Outputs as float32."""
        feeds = {
            name: np.ascontiguousarray(array, dtype)
            for name, array, dtype in zip(self._names, inputs, self._types, strict=True)
        }
        return tuple(np.asarray(array, np.float32) for array in self._session.run(None, feeds))

    def close(self) -> None:
        """Free the network."""
        self._session = None


@cache
def shared_core() -> Any:
    """The one `openvino.Core` of this room: its networks share threads."""
    try:
        from openvino import Core  # type: ignore[import-untyped]
    except ImportError as error:
        raise MissingDependency(
            "OpenVINO is not installed; pip install openvino, or take engine 'onnxruntime'"
        ) from error
    return Core()


def _with_half_inputs(network: Any, count: int) -> Any:
    from openvino import Type
    from openvino.preprocess import PrePostProcessor  # type: ignore[import-untyped]

    steps = PrePostProcessor(network)
    for index in range(count):
        steps.input(index).tensor().set_element_type(Type.f16)
    return steps.build()
