from types import ModuleType

import pytest
import torch

from atrous.training import precision
from atrous.training.precision import autocast, bf16_is_fast, pick_device

CPU = torch.device("cpu")


def dtype_inside(recipe_precision: str, tiny: ModuleType) -> torch.dtype:
    with autocast(tiny.tiny_recipe(precision=recipe_precision), CPU):
        return (torch.ones(2, 2) @ torch.ones(2, 2)).dtype


def test_the_recipe_decides(tiny: ModuleType) -> None:
    assert dtype_inside("fp32", tiny) == torch.float32
    assert dtype_inside("bf16", tiny) == torch.bfloat16


@pytest.mark.parametrize(("fast", "dtype"), [(True, torch.bfloat16), (False, torch.float32)])
def test_auto_asks_the_hardware(
    fast: bool, dtype: torch.dtype, tiny: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "bf16_is_fast", lambda device: fast)
    assert dtype_inside("auto", tiny) == dtype
    assert dtype_inside("fp32", tiny) == torch.float32


def test_the_cpu_can_be_asked() -> None:
    # Of private functions of torch: this fails when a release of torch renames them.
    assert bf16_is_fast(CPU) in (True, False)


def test_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device() == CPU
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert pick_device() == torch.device("cuda")
