import copy
from types import ModuleType

import pytest
import torch

from atrous.deeplab.network import DeepLab, build_network
from atrous.training.optimizer import clip_gradients, make_optimizer, set_rates


@pytest.fixture(scope="module")
def network(tiny: ModuleType) -> DeepLab:
    return build_network("deeplabv3plus", tiny.BACKBONE, 3)


def test_every_parameter_is_in_one_group(network: DeepLab, tiny: ModuleType) -> None:
    optimizer = make_optimizer(network, tiny.tiny_recipe())
    grouped = [id(p) for group in optimizer.param_groups for p in group["params"]]
    assert sorted(grouped) == sorted(id(p) for p in network.parameters())


def test_rates_and_decay(network: DeepLab, tiny: ModuleType) -> None:
    recipe = tiny.tiny_recipe(learning_rate=0.01, backbone_rate=0.1, weight_decay=0.3)
    optimizer = make_optimizer(network, recipe)
    backbone = {id(p) for p in network.backbone.parameters()}
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            rate = 0.001 if id(parameter) in backbone else 0.01
            assert group["lr"] == pytest.approx(rate)
            assert group["weight_decay"] == (0.3 if parameter.ndim > 1 else 0)


def test_the_factor_applies_to_the_base_rate_each_time(network: DeepLab, tiny: ModuleType) -> None:
    optimizer = make_optimizer(network, tiny.tiny_recipe(learning_rate=0.01, backbone_rate=0.1))
    for factor in (0.5, 0.25, 1.0):
        assert set_rates(optimizer, factor) == pytest.approx(0.01 * factor)
        rates = sorted({round(group["lr"], 9) for group in optimizer.param_groups})
        assert rates == pytest.approx([0.001 * factor, 0.01 * factor])
    assert set_rates(optimizer, 0.0) == 0


def test_which_optimizer(network: DeepLab, tiny: ModuleType) -> None:
    assert type(make_optimizer(network, tiny.tiny_recipe())) is torch.optim.AdamW
    sgd = make_optimizer(network, tiny.tiny_recipe(optimizer="sgd"))
    assert type(sgd) is torch.optim.SGD
    assert all(group["momentum"] == 0.9 for group in sgd.param_groups)


def test_adamw_is_the_plain_one(network: DeepLab, tiny: ModuleType) -> None:
    """PyTorch's fused AdamW takes numbers as they lie: weights here are channels-last."""
    recipe = tiny.tiny_recipe(weight_decay=0.1)
    ours = copy.deepcopy(network).to(memory_format=torch.channels_last)
    optimizer = make_optimizer(ours, recipe)
    plain = copy.deepcopy(network)
    reference = make_optimizer(plain, recipe)
    for group in reference.param_groups:
        group["fused"] = False
    for seed in range(3):
        torch.manual_seed(seed)
        for one, other in zip(ours.parameters(), plain.parameters(), strict=True):
            one.grad = torch.randn_like(one)
            other.grad = one.grad.contiguous()
        optimizer.step()
        reference.step()
    for one, other in zip(ours.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_momentum_of_sgd(network: DeepLab, tiny: ModuleType) -> None:
    sgd = make_optimizer(network, tiny.tiny_recipe(optimizer="sgd", momentum=0.8, nesterov=True))
    assert all((group["momentum"], group["nesterov"]) == (0.8, True) for group in sgd.param_groups)


@pytest.mark.parametrize(("longest", "expected"), [(0.0, 5.0), (2.0, 2.0), (9.0, 5.0)])
def test_gradients_are_shortened(
    network: DeepLab, tiny: ModuleType, longest: float, expected: float
) -> None:
    first, second, *others = network.parameters()
    network.zero_grad()
    for parameter, length in ((first, 3.0), (second, 4.0)):
        parameter.grad = torch.zeros_like(parameter)
        parameter.grad.view(-1)[0] = length
    clip_gradients(network, tiny.tiny_recipe(gradient_clip=longest))
    norm = torch.linalg.vector_norm(torch.stack([first.grad.norm(), second.grad.norm()]))
    assert float(norm) == pytest.approx(expected, rel=1e-4)
    network.zero_grad()
