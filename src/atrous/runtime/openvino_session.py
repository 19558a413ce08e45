"""A network compiled by OpenVINO for the CPU."""

import logging
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from atrous.domain.errors import BadPackage, MissingDependency
from atrous.domain.geometry import Size
from atrous.packages.manifest import sha256_of
from atrous.runtime.compiled_networks import ONE_COMPILATION, MappedFile, Slot
from atrous.runtime.engine_names import Precision
from atrous.runtime.enlargement import cut_enlargement, enlarged_size
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
from atrous.runtime.processor import available_cores, guess_fast_bf16

logger = logging.getLogger(__name__)

DEVICE = "CPU"
HINTS = {"fp32": "f32", "bf16": "bf16"}  # precisions in OpenVINO's words
PRECISION_NAMES = {"f32": "fp32", "bf16": "bf16", "f16": "fp16"}
LAYERS_OF_WEIGHT = ("Convolution", "FullyConnected", "MatMul")


class OpenVinoSession:
    """A compiled network and its requests, one for each thread that holds an answer."""

    engine = "openvino"
    device = "cpu"

    def __init__(
        self,
        weights: Path,
        *,
        precision: Precision = "auto",
        threads: int | None = None,
        cache_folder: Path | None = None,
        input_size: Size | None = None,
        checksum: str | None = None,
        coarse: bool = False,
    ) -> None:
        """Compile the ONNX file, or read what was compiled before; see `open_session`."""
        self.threads = threads or available_cores()
        settings = _settings(precision, self.threads)
        # In the order in which they are freed: requests, the network, the file that it lies in.
        self._idle: deque[Any] = deque()
        self._compiled: Any
        self._file: MappedFile | None
        try:
            if cache_folder is None:
                self._compiled = _compile(weights, settings, input_size, coarse)
                self._file = None
            else:
                hint = settings.get("INFERENCE_PRECISION_HINT", "default")
                kind = PRECISION_NAMES.get(hint, hint)
                checksum = checksum or sha256_of(weights)
                slot = Slot(cache_folder, checksum, kind, input_size, whole=not coarse)
                self._compiled, self._file = _compile_once(weights, settings, slot)
            self._read_facts()
        except RuntimeError as error:
            raise BadPackage(f"OpenVINO can't load the network: {last_line(error)}") from error

    def _read_facts(self) -> None:
        source, target = self._compiled.input(0), self._compiled.output(0)
        shape = checked_input([side_length(side) for side in source.partial_shape])
        batch, _, height, width = shape
        self.class_count = checked_output([side_length(side) for side in target.partial_shape])
        self.input_size = Size(height, width) if height and width else None
        self.enlarged = enlarged_size(self._compiled)
        self.precision = _precision_of(self._compiled)
        self.batch_size: int | None = batch or 1
        self._dtype = source.element_type.to_dtype()

    def run(
        self, batch: Float32[np.ndarray, "n 3 height width"]
    ) -> Float32[np.ndarray, "n classes out_height out_width"]:
        """Logits of preprocessed pictures, one forward pass after the other."""
        with self.lend(batch) as logits:
            return logits.copy()

    @contextmanager
    def lend(
        self, batch: Float32[np.ndarray, "n 3 height width"]
    ) -> Iterator[Float32[np.ndarray, "n classes out_height out_width"]]:
        """Logits in a request's own memory, which its next run overwrites."""
        is_new = False
        try:
            request = self._idle.popleft()
        except IndexError:
            request, is_new = self._compiled.create_infer_request(), True
        try:
            logits = run_in_parts(batch, self.batch_size or 1, partial(self._run_part, request))
            if self._file and is_new:
                # Some weights are packed by a request's first run; those of int8 are read by all.
                self._file.forget_pages()
            yield logits
        finally:
            self._idle.append(request)

    def _run_part(self, request: Any, part: Photos) -> Logits:
        results = request.infer(
            [np.ascontiguousarray(part, self._dtype)], share_inputs=True, share_outputs=True
        )
        return np.asarray(results[0], np.float32)

    def close(self) -> None:
        """Free the compiled network and its requests."""
        self._idle.clear()
        self._compiled = self._file = None


def offers_bf16() -> bool:
    """Whether OpenVINO can compute in bf16 here, fast or not; False where it is not installed."""
    try:
        return "BF16" in _engine().get_property(DEVICE, "OPTIMIZATION_CAPABILITIES")
    except MissingDependency:
        return False


def _engine() -> Any:
    try:
        import openvino  # type: ignore[import-untyped]  # noqa: F401 - is it there?
    except ImportError as error:
        raise MissingDependency(
            "OpenVINO is not installed; pip install openvino, or take engine 'onnxruntime'"
        ) from error
    return _shared_core()


@cache
def _shared_core() -> Any:
    """The one `openvino.Core` of this process: its networks share threads."""
    from openvino import Core

    return Core()


def _settings(precision: Precision, threads: int) -> dict[str, Any]:
    streams = max(1, available_cores() // threads)
    settings: dict[str, Any] = {
        "NUM_STREAMS": streams,
        "INFERENCE_NUM_THREADS": threads * streams,
        "ENABLE_CPU_PINNING": False,  # the cores also decode and encode, and other programs run
    }
    if precision == "auto":
        fast = guess_fast_bf16()
        precision = "auto" if fast is None else "bf16" if fast else "fp32"
    if precision != "auto":
        settings["INFERENCE_PRECISION_HINT"] = HINTS[precision]
    return settings


def _compile(weights: Path, settings: dict[str, Any], input_size: Size | None, coarse: bool) -> Any:
    network = _engine().read_model(read_network(weights))
    shape = checked_input([side_length(side) for side in network.input(0).partial_shape])
    batch, _, height, width = shape
    if None in shape:  # a fixed shape compiles to a faster network
        if input_size is not None:
            height, width = height or input_size.height, width or input_size.width
        network.reshape([batch or 1, 3, height or -1, width or -1])
    if coarse:
        cut_enlargement(network)
    return _engine().compile_model(network, DEVICE, settings)


def _compile_once(
    weights: Path, settings: dict[str, Any], slot: Slot
) -> tuple[Any, MappedFile | None]:
    """Read the slot's network, compiled first where it is not there or can't be read.

    Where the slot can't be written the network is there all the same, but in no file.
    """
    damaged = False
    if slot.path.is_file():
        try:
            return _map(slot, settings)
        except (RuntimeError, ValueError, OSError) as error:
            logger.warning("%s can't be read, it is made anew: %s", slot.path, last_line(error))
            damaged = True
    with ONE_COMPILATION:
        if damaged or not slot.path.is_file():  # else another thread made it meanwhile
            compiled = _compile(weights, settings, slot.input_size, not slot.whole)
            try:
                slot.keep(compiled.export_model().getvalue())
            except OSError as error:
                logger.warning(
                    "%s can't be written (%s): the network is compiled anew at each start",
                    *(slot.path, error.strerror),
                )
                return compiled, None
    return _map(slot, settings)


def _map(slot: Slot, settings: dict[str, Any]) -> tuple[Any, MappedFile]:
    from openvino import Tensor

    file = MappedFile(slot.path)
    with file.forgetting():
        data = Tensor(file.data, shared_memory=True)
        return _engine().import_model(data, DEVICE, settings), file


def _precision_of(compiled: Any) -> str:
    hint = str(compiled.get_property("INFERENCE_PRECISION_HINT").to_string())
    name = PRECISION_NAMES.get(hint, hint)
    if kinds_of_layers(compiled) & {"i8", "u8"}:
        return "int8" if name == "fp32" else f"int8+{name}"
    return name


def kinds_of_layers(compiled: Any) -> set[str]:
    """In what the layers with weights compute, in OpenVINO's words, as the compiled graph says."""
    facts = [layer.get_rt_info() for layer in compiled.get_runtime_model().get_ops()]
    return {
        str(fact["runtimePrecision"].astype(str)).lower()
        for fact in facts
        if fact["layerType"].astype(str) in LAYERS_OF_WEIGHT
    }
