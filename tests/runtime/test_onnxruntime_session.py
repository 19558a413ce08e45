from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from atrous.domain.errors import BadInput
from atrous.runtime.onnxruntime_session import OnnxRuntimeSession, providers_from

Save = Callable[..., Path]
GPU = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]


def names(providers: list[object]) -> list[object]:
    return [provider[0] if isinstance(provider, tuple) else provider for provider in providers]


def test_it_has_no_bf16(save_network: Save) -> None:
    with pytest.raises(BadInput, match="bf16"):
        OnnxRuntimeSession(save_network(), precision="bf16")


def test_gpus_come_first_where_the_build_has_them(save_network: Save, tmp_path: Path) -> None:
    model = save_network().read_bytes()
    assert names(providers_from(model, GPU, "auto", tmp_path)) == GPU
    assert names(providers_from(model, GPU, "auto", None)) == GPU[1:]
    assert names(providers_from(model, GPU[1:], "auto", tmp_path)) == GPU[1:]
    assert providers_from(model, ["AzureExecutionProvider", GPU[2]], "auto", tmp_path) == [GPU[2]]


@pytest.mark.parametrize(
    ("shape", "bounds"),
    [
        (("n", 3, 32, 48), {"min": "1x3x32x48", "opt": "1x3x32x48", "max": "8x3x32x48"}),
        ((1, 3, 32, 48), {}),
        (("n", 3, "h", "w"), {}),
    ],
)
def test_one_engine_of_tensorrt_takes_every_batch(
    save_network: Save, tmp_path: Path, shape: tuple[int | str, ...], bounds: dict[str, str]
) -> None:
    model = save_network(shape=shape).read_bytes()
    (_, settings), *_ = providers_from(model, GPU, "auto", tmp_path)
    given = {name: value for name, value in settings.items() if name.startswith("trt_profile_")}
    name = onnxruntime.InferenceSession(model).get_inputs()[0].name
    assert given == {f"trt_profile_{key}_shapes": f"{name}:{side}" for key, side in bounds.items()}


def test_fp32_is_exact_on_gpus_too(tmp_path: Path) -> None:
    providers = providers_from(b"", GPU, "fp32", tmp_path)
    assert providers == [("CUDAExecutionProvider", {"use_tf32": "0"}), "CPUExecutionProvider"]


def test_a_batch_of_any_size_runs_at_once(save_network: Save) -> None:
    session = OnnxRuntimeSession(save_network(shape=("n", 3, 32, 48)), threads=1)
    runs: list[int] = []
    run = session._run_part
    session._run_part = lambda part: (runs.append(len(part)), run(part))[1]  # type: ignore[method-assign]
    session.run(np.zeros((3, 3, 32, 48), np.float32))
    assert runs == [3]
