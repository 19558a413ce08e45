"""The device and number format that a training runs in."""

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import torch
from torch.amp import GradScaler

from atrous.domain.recipes import TrainingRecipe
from atrous.runtime.processor import guess_fast_bf16

logger = logging.getLogger(__name__)


def pick_device() -> torch.device:
    """The CUDA GPU of this process where there is one, the first unless told, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def autocast(recipe: TrainingRecipe, device: torch.device) -> AbstractContextManager[object]:
    """Run the network in fp16 or bf16 where `precision_in_use` is one of them."""
    precision = precision_in_use(recipe, device)
    if precision == "fp16":
        return torch.autocast(device.type, torch.float16)
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


def precision_in_use(recipe: TrainingRecipe, device: torch.device) -> str:
    """What the recipe says: "fp32", "bf16" or "fp16"; of "auto" bf16 where a step is quicker so."""
    if recipe.precision == "auto":
        return "bf16" if bf16_is_fast(device) else "fp32"
    return recipe.precision


def gradient_scaler(recipe: TrainingRecipe, device: torch.device) -> GradScaler:
    """Keeps gradients above the least numbers of fp16; does nothing in other precisions.

    Micikevicius et al., 1710.03740, section 3.2, with a factor that follows the gradients: a step
    whose gradients overflow is left out.
    """
    return GradScaler(device.type, enabled=recipe.precision == "fp16")


@contextmanager
def float32_products(recipe: TrainingRecipe, device: torch.device) -> Iterator[None]:
    """Let a GPU multiply float32 in TF32, with 10 bits behind the point, or not, while it lasts."""
    if device.type != "cuda":
        yield
        return
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("high" if recipe.tf32 else "highest")
    torch.backends.cudnn.allow_tf32 = recipe.tf32
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]


def bf16_is_fast(device: torch.device) -> bool:
    """Whether a step is quicker in bf16: on GPUs since Ampere, on CPUs with AMX, AMD's since Zen 4.

    Intel's AVX-512 BF16 without AMX gains less in products than the conversions around them cost: a
    step takes 8 % longer than in float32, on Zen 4 two thirds of the time (docs/training_log.md).
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return guess_fast_bf16() is True
