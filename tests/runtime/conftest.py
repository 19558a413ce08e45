"""Tiny ONNX networks and packages around them, and programs of machine code."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from atrous.domain.classes import ClassTable
from atrous.domain.geometry import Size
from atrous.domain.recipes import PreprocessRecipe
from atrous.packages.directory import ModelPackage, write_package
from atrous.runtime import engine_choice, machine_code
from atrous.runtime.machine_code import CHECKSUM_BYTES, MachineCode, host_features

PROGRAM_START = """
import ctypes
import numpy as np
from numba import cfunc, types
from atrous.runtime.vector_code import SETTINGS

FLOATS, NUMBER = types.CPointer(types.float32), types.int64

def call(function, *arguments):
    values = [
        ctypes.c_void_p(one.ctypes.data) if isinstance(one, np.ndarray) else ctypes.c_int64(one)
        for one in arguments
    ]
    ctypes.CFUNCTYPE(None, *map(type, values))(function.address)(*values)

given, found = dict(np.load("given.npz")), {}
"""


@pytest.fixture(autouse=True)
def time_to_measure(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine with other work, a measurement that takes too long keeps no record."""
    monkeypatch.setattr(engine_choice, "MOST_SECONDS_IN_ALL", 600.0)


Sides = tuple[int | str, int | str, int | str, int | str]


def color_network(
    channels: int = 4, shape: Sides = (1, 3, 32, 48), stride: int = 1
) -> onnx.ModelProto:
    """A 1x1 convolution: channel 0 is 0.5, channel k is (k-1)th colour times 4."""
    weights = np.zeros((channels, 3, 1, 1), np.float32)
    bias = np.zeros(channels, np.float32)
    if channels > 1:
        bias[0] = 0.5
        for index in range(1, channels):
            weights[index, (index - 1) % 3] = 4
    else:
        weights[0, 0] = 8
        bias[0] = -4
    node = helper.make_node("Conv", ["photo", "w", "b"], ["logits"], strides=[stride, stride])
    source = helper.make_tensor_value_info("photo", TensorProto.FLOAT, shape)
    sides = [side // stride if isinstance(side, int) else None for side in shape[2:]]
    target = helper.make_tensor_value_info(
        "logits", TensorProto.FLOAT, [shape[0], channels, *sides]
    )
    tensors = [numpy_helper.from_array(weights, "w"), numpy_helper.from_array(bias, "b")]
    graph = helper.make_graph([node], "colors", [source], [target], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


@pytest.fixture
def save_network(tmp_path: Path) -> Callable[..., Path]:
    """Save `color_network(...)`, or a given model, and say where."""

    def save(model: onnx.ModelProto | None = None, **settings: object) -> Path:
        path = tmp_path / f"network{len(list(tmp_path.glob('*.onnx')))}.onnx"
        onnx.save(model or color_network(**settings), path)
        return path

    return save


@pytest.fixture
def make_package(tmp_path: Path, save_network: Callable[..., Path]) -> Callable[..., ModelPackage]:
    """A package of `color_network` that sees colours as they are (0..1)."""

    def make(
        *,
        names: tuple[str, ...] = ("background", "red", "green", "blue"),
        recipe: PreprocessRecipe | None = None,
        **network: object,
    ) -> ModelPackage:
        plain = PreprocessRecipe(Size(32, 48), mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
        folder = tmp_path / f"package{len(list(tmp_path.glob('package*')))}"
        return write_package(
            folder,
            weights=save_network(**network),
            classes=ClassTable(names),
            preprocess=recipe or plain,
            manifest={},
        )

    return make


@pytest.fixture(scope="session", params=["fp32", "bf16"])
def precision(request: pytest.FixtureRequest) -> str:
    """Of products by machine code; skips what this machine's processor can't do."""
    if request.param == "bf16" and "+avx512bf16" not in host_features().split(","):
        pytest.skip("this processor does not multiply bf16")
    return str(request.param)


@pytest.fixture(scope="session")
def object_file_of() -> Callable[[MachineCode], bytes]:
    """What is kept of a program, made where it is not there yet."""
    folder = machine_code.BESIDE_SOURCES

    def read(program: MachineCode) -> bytes:
        program._read_or_compile([folder])
        path = folder / f"{program.module}-{program.fingerprint}.code"
        return path.read_bytes()[CHECKSUM_BYTES:]

    return read


@pytest.fixture(scope="session")
def run_program(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, np.ndarray]]:
    """Run code in a process with Numba, so that the tests' own needs none.

    The code has the arrays `given`, puts arrays into `found`, and calls C functions by `call`.
    """

    def run(code: str, precision: str = "fp32", **given: np.ndarray) -> dict[str, np.ndarray]:
        folder = tmp_path_factory.mktemp("program")
        np.savez(folder / "given.npz", **given)
        save = 'np.savez("found.npz", **found)\n'
        arguments = ["bf16"] if precision == "bf16" else []
        subprocess.run(
            [sys.executable, "-c", PROGRAM_START + code + save, *arguments], cwd=folder, check=True
        )
        with np.load(folder / "found.npz") as found:
            return dict(found)

    return run
