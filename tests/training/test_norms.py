from types import ModuleType

import pytest
import torch
from torch import nn

from atrous.deeplab.convolution import SampleSizeBatchNorm
from atrous.deeplab.network import DeepLab, build_network
from atrous.training.averaging import WeightAverage
from atrous.training.norms import set_norms, settle_norms, share_norms
from atrous.training.processes import ALONE, Processes
from atrous.training.shared_norms import SharedBatchNorm

CPU = torch.device("cpu")


@pytest.fixture
def network(tiny: ModuleType) -> DeepLab:
    return build_network("deeplabv3plus", tiny.BACKBONE, 3).train()


def norms(module: nn.Module) -> list[nn.BatchNorm2d]:
    return [part for part in module.modules() if isinstance(part, nn.BatchNorm2d)]


def test_batch_leaves_all_as_it_is(network: DeepLab, tiny: ModuleType) -> None:
    set_norms(network, tiny.tiny_recipe(), settled=False)
    assert all(norm.training for norm in norms(network))


def test_frozen_keeps_the_backbone_s_statistics(network: DeepLab, tiny: ModuleType) -> None:
    set_norms(network, tiny.tiny_recipe(norm="frozen"), settled=False)
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
    set_norms(network, tiny.tiny_recipe(norm="frozen"), settled=False)
    photos = torch.randn(2, 3, 64, 64)
    both = network.backbone(photos).last
    torch.testing.assert_close(both[:1], network.backbone(photos[:1]).last, rtol=1e-4, atol=1e-5)


def test_settled_norms_have_the_averaged_statistics_and_keep_them(
    network: DeepLab, tiny: ModuleType
) -> None:
    average = WeightAverage(network, decay=0.5)
    network(torch.randn(2, 3, 64, 64))
    average.update(network)
    wanted = [norm.running_mean.clone() for norm in norms(average.network)]
    weights = [weight.clone() for weight in network.parameters()]
    assert not torch.equal(wanted[0], norms(network)[0].running_mean)

    settle_norms(network, average.network)
    set_norms(network, tiny.tiny_recipe(), settled=True)
    photos = torch.randn(2, 3, 64, 64)
    trained = network(photos)  # with the gradients of training
    trained.sum().backward()

    means = [norm.running_mean for norm in norms(network)]
    assert all(map(torch.equal, means, wanted))
    assert all(map(torch.equal, network.parameters(), weights))
    assert all(norm.weight.grad is not None for norm in norms(network))
    network.head.aspp.dropout.p = 0.0
    torch.testing.assert_close(network(photos), network.eval()(photos))


def test_sync_in_one_process_is_batch(network: DeepLab, tiny: ModuleType) -> None:
    assert share_norms(network, tiny.tiny_recipe(norm="sync"), ALONE, CPU) is network
    assert not any(isinstance(part, SharedBatchNorm) for part in network.modules())


def test_sync_in_several_processes(network: DeepLab, tiny: ModuleType) -> None:
    share_norms(network, tiny.tiny_recipe(), Processes(0, 2), CPU)
    assert not any(isinstance(part, SharedBatchNorm) for part in network.modules())
    share_norms(network, tiny.tiny_recipe(norm="sync"), Processes(0, 2), CPU)
    assert all(isinstance(norm, SharedBatchNorm) for norm in norms(network))
