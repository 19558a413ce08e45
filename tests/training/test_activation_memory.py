from dataclasses import replace
from types import ModuleType

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks

from atrous.deeplab.network import build_network
from atrous.domain.geometry import Size
from atrous.training.activation_memory import BYTES_PER_PARAMETER, STEP_OVER_KEPT, step_bytes


def test_it_is_what_a_real_step_keeps(tiny: ModuleType) -> None:
    """Of the same network on the CPU, at another size than the one that is probed."""
    recipe = tiny.tiny_recipe(crop=Size(192, 256))
    network = build_network("deeplabv3plus", tiny.BACKBONE, 4).train()
    kept: dict[int, torch.Tensor] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        if not isinstance(tensor, torch.nn.Parameter):
            kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with saved_tensors_hooks(note, lambda tensor: tensor):
        network(torch.rand(2, 3, 192, 256))
    real = sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
    parameters = sum(parameter.numel() for parameter in network.parameters())
    estimate = step_bytes(recipe, 4, 2) - BYTES_PER_PARAMETER * parameters
    assert estimate == pytest.approx(STEP_OVER_KEPT * real, rel=0.1)


def test_it_grows_with_photos_and_pixels(tiny: ModuleType) -> None:
    recipe = tiny.tiny_recipe()
    one, two = (step_bytes(recipe, 4, photos) for photos in (1, 2))
    wide = step_bytes(replace(recipe, crop=Size(64, 128)), 4, 1)
    assert one < two == wide < 2 * one


def test_random_numbers_are_left_alone(tiny: ModuleType) -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    step_bytes(tiny.tiny_recipe(), 5, 1)  # five classes: not from the cache
    assert torch.equal(torch.rand(2), expected)
