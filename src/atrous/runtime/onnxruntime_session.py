"""A network in ONNX Runtime: on the CPU, or on a GPU where the installed build has one."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from atrous.domain.errors import BadInput, BadPackage
from atrous.domain.geometry import Size
from atrous.packages.inference_config import MOST_PICTURES
from atrous.runtime.engine_names import Precision
from atrous.runtime.network_io import (
    Logits,
    Photos,
    checked_input,
    checked_output,
    last_line,
    read_network,
    run_in_parts,
    side_length,
)
from atrous.runtime.processor import available_cores

Provider = str | tuple[str, dict[str, str]]
DEVICES = {
    "TensorrtExecutionProvider": "tensorrt",
    "CUDAExecutionProvider": "cuda",
    "CPUExecutionProvider": "cpu",
}
QUANTIZED = b"DequantizeLinear"  # the operator that int8 networks have
CORES_BESIDE_GPU = 1  # of a run: a thread that waits for the GPU


class OnnxRuntimeSession:
    """A network in ONNX Runtime, in the precision of its file."""

    engine = "onnxruntime"
    enlarged: Size | None = None  # nothing is left out here

    def __init__(
        self,
        weights: Path,
        *,
        precision: Precision = "auto",
        threads: int | None = None,
        cache_folder: Path | None = None,
    ) -> None:
        """Load the ONNX file; see `open_session`."""
        if precision == "bf16":
            raise BadInput("ONNX Runtime has no bf16 here; take precision 'auto' or OpenVINO")
        model = read_network(weights)
        self._session = _load(model, threads or available_cores(), precision, cache_folder)
        source = self._session.get_inputs()[0]
        batch, _, height, width = checked_input([side_length(side) for side in source.shape])
        self.class_count = checked_output(
            [side_length(side) for side in self._session.get_outputs()[0].shape]
        )
        self.device = DEVICES.get(self._session.get_providers()[0], "cpu")
        self.threads = (threads or available_cores()) if self.device == "cpu" else CORES_BESIDE_GPU
        self.input_size = Size(height, width) if height and width else None
        self._input_name = source.name
        self.batch_size = batch
        self._dtype = np.dtype(np.float16 if source.type == "tensor(float16)" else np.float32)
        self.precision = "fp16" if self._dtype == np.float16 else "fp32"
        if self.device == "tensorrt":
            self.precision = "tf32"
        if QUANTIZED in model:
            self.precision = "int8"

    def run(
        self, batch: Float32[np.ndarray, "n 3 height width"]
    ) -> Float32[np.ndarray, "n classes out_height out_width"]:
        """Logits of preprocessed pictures, one forward pass after the other."""
        return run_in_parts(batch, self.batch_size or len(batch), self._run_part)

    @contextmanager
    def lend(
        self, batch: Float32[np.ndarray, "n 3 height width"]
    ) -> Iterator[Float32[np.ndarray, "n classes out_height out_width"]]:
        """The same as `run`: every answer has its own memory here."""
        yield self.run(batch)

    def _run_part(self, part: Photos) -> Logits:
        outputs = self._session.run(None, {self._input_name: part.astype(self._dtype, copy=False)})
        return np.asarray(outputs[0], np.float32)

    def close(self) -> None:
        """Free the network."""
        self._session = None


def _load(model: bytes, threads: int, precision: Precision, cache_folder: Path | None) -> Any:
    import onnxruntime  # type: ignore[import-untyped]
    from onnxruntime.capi import (  # type: ignore[import-untyped]
        onnxruntime_pybind11_state as states,
    )

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors alone: its warnings are about foreign exporters
    options.intra_op_num_threads = threads
    # Threads that wait busily for the next run would take the cores from what comes between.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    offered = onnxruntime.get_available_providers()
    try:
        return onnxruntime.InferenceSession(
            model, options, providers=providers_from(model, offered, precision, cache_folder)
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
        raise BadPackage(f"ONNX Runtime can't load the network: {last_line(error)}") from error


def providers_from(
    model: bytes, offered: list[str], precision: Precision, cache_folder: Path | None
) -> list[Provider]:
    """What the installed build offers, the fastest first; ONNX Runtime passes over what fails.

    CUDA computes fp32 without TF32's rounding. TensorRT, which may round, is left out where fp32
    is asked for, and without a folder for its engines, as building one takes minutes.
    """
    chosen: list[Provider] = []
    if "TensorrtExecutionProvider" in offered and precision == "auto" and cache_folder is not None:
        keep = {"trt_engine_cache_enable": "1", "trt_engine_cache_path": str(cache_folder)}
        chosen.append(("TensorrtExecutionProvider", {**keep, **_shapes_of_engine(model)}))
    if "CUDAExecutionProvider" in offered:
        chosen.append(("CUDAExecutionProvider", {"use_tf32": "0"}))
    return [*chosen, "CPUExecutionProvider"]


def _shapes_of_engine(model: bytes) -> dict[str, str]:
    """TensorRT's options that make one engine do for every batch, where the graph takes any.

    Without them it builds another one, for minutes, whenever a batch is larger than those before.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    source = session.get_inputs()[0]
    batch, *sides = checked_input([side_length(side) for side in source.shape])
    if batch is not None or None in sides:
        return {}
    rest = "x".join(map(str, sides))
    return {
        f"trt_profile_{bound}_shapes": f"{source.name}:{pictures}x{rest}"
        for bound, pictures in (("min", 1), ("opt", 1), ("max", MOST_PICTURES))
    }
