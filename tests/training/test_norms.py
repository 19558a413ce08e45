from types import ModuleType

import pytest
import torch
from torch import nn

from atrous.deeplab.convolution import SampleSizeBatchNorm
from atrous.deeplab.network import DeepLab, build_network
from atrous.training.norms import set_norms, share_norms
from atrous.training.processes import ALONE, Processes
from atrous.training.shared_norms import SharedBatchNorm

CPU = torch.device("cpu")


@pytest.fixture
def network(tiny: ModuleType) -> DeepLab:
    return build_network("deeplabv3plus", tiny.BACKBONE, 3).train()


def norms(module: nn.Module) -> list[nn.BatchNorm2d]:
    return [part for part in module.modules() if isinstance(part, nn.BatchNorm2d)]


def test_batch_leaves_all_as_it_is(network: DeepLab, tiny: ModuleType) -> None:
    set_norms(network, tiny.tiny_recipe())
    assert all(norm.training for norm in norms(network))


def test_frozen_keeps_the_backbone_s_statistics(network: DeepLab, tiny: ModuleType) -> None:
    set_norms(network, tiny.tiny_recipe(norm="frozen"))
    before = [norm.running_mean.clone() for norm in norms(network.backbone)]
    network(torch.randn(2, 3, 64, 64)).sum().backward()
    after = [norm.running_mean for norm in norms(network.backbone)]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert all(norm.weight.grad is not None for norm in norms(network.backbone))
    for norm in norms(network.head):
        assert norm.training != isinstance(norm, SampleSizeBatchNorm)


def test_frozen_makes_a_photo_s_maps_independent_of_the_batch(
    network: DeepLab, tiny: ModuleType
) -> None:
    set_norms(network, tiny.tiny_recipe(norm="frozen"))
    photos = torch.randn(2, 3, 64, 64)
    both = network.backbone(photos).last
    torch.testing.assert_close(both[:1], network.backbone(photos[:1]).last, rtol=1e-4, atol=1e-5)


def test_sync_in_one_process_is_batch(network: DeepLab, tiny: ModuleType) -> None:
    assert share_norms(network, tiny.tiny_recipe(norm="sync"), ALONE, CPU) is network
    assert not any(isinstance(part, SharedBatchNorm) for part in network.modules())


def test_sync_in_several_processes(network: DeepLab, tiny: ModuleType) -> None:
    share_norms(network, tiny.tiny_recipe(), Processes(0, 2), CPU)
    assert not any(isinstance(part, SharedBatchNorm) for part in network.modules())
    share_norms(network, tiny.tiny_recipe(norm="sync"), Processes(0, 2), CPU)
    assert all(isinstance(norm, SharedBatchNorm) for norm in norms(network))
