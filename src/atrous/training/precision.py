"""The device and number format that a training runs in."""

import logging
from contextlib import AbstractContextManager

import torch

from atrous.domain.recipes import TrainingRecipe

logger = logging.getLogger(__name__)


def pick_device() -> torch.device:
    """The first CUDA GPU where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def autocast(recipe: TrainingRecipe, device: torch.device) -> AbstractContextManager[object]:
    """Run the network in bf16 where the recipe says so, or where "auto" finds it quicker."""
    enabled = recipe.precision == "bf16" or (recipe.precision == "auto" and bf16_is_fast(device))
    return torch.autocast(device.type, torch.bfloat16, enabled=enabled)


def bf16_is_fast(device: torch.device) -> bool:
    """Whether the hardware multiplies bf16 (AVX-512 BF16, AMX, Ampere and later)."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
