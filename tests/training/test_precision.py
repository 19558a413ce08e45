from types import ModuleType

import pytest
import torch

from atrous.training import precision
from atrous.training.precision import (
    autocast,
    bf16_is_fast,
    float32_products,
    gradient_scaler,
    pick_device,
    precision_in_use,
)

CPU = torch.device("cpu")


def dtype_inside(recipe_precision: str, tiny: ModuleType) -> torch.dtype:
    with autocast(tiny.tiny_recipe(precision=recipe_precision), CPU):
        return (torch.ones(2, 2) @ torch.ones(2, 2)).dtype


def test_the_recipe_decides(tiny: ModuleType) -> None:
    assert dtype_inside("fp32", tiny) == torch.float32
    assert dtype_inside("bf16", tiny) == torch.bfloat16
    assert dtype_inside("fp16", tiny) == torch.float16


def test_only_fp16_scales_gradients(tiny: ModuleType) -> None:
    scaler = gradient_scaler(tiny.tiny_recipe(precision="fp16"), CPU)
    assert scaler.scale(torch.tensor(2.0)) == 2.0 * scaler.get_scale() > 1000
    plain = gradient_scaler(tiny.tiny_recipe(precision="bf16"), CPU)
    assert plain.scale(torch.tensor(2.0)) == 2.0
    assert plain.state_dict() == {}


def products() -> tuple[str, bool]:
    return torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32


@pytest.mark.parametrize(("tf32", "inside"), [(True, ("high", True)), (False, ("highest", False))])
def test_tf32_is_for_gpus_and_for_a_while(
    tf32: bool, inside: tuple[str, bool], tiny: ModuleType
) -> None:
    before, recipe = products(), tiny.tiny_recipe(tf32=tf32)
    with float32_products(recipe, CPU):
        assert products() == before
    with float32_products(recipe, torch.device("cuda")):
        assert products() == inside
    assert products() == before


@pytest.mark.parametrize(("fast", "dtype"), [(True, torch.bfloat16), (False, torch.float32)])
def test_auto_asks_the_hardware(
    fast: bool, dtype: torch.dtype, tiny: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "bf16_is_fast", lambda device: fast)
    assert dtype_inside("auto", tiny) == dtype
    assert dtype_inside("fp32", tiny) == torch.float32
    names = {torch.bfloat16: "bf16", torch.float32: "fp32"}
    assert precision_in_use(tiny.tiny_recipe(precision="auto"), CPU) == names[dtype]
    assert precision_in_use(tiny.tiny_recipe(precision="fp16"), CPU) == "fp16"


@pytest.mark.parametrize("guess", [True, False, None])
def test_of_a_cpu_bf16_has_to_be_known_as_fast(
    guess: bool | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "guess_fast_bf16", lambda: guess)
    assert bf16_is_fast(CPU) is bool(guess)


def test_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device() == CPU
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert pick_device() == torch.device("cuda")
