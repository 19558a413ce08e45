from types import ModuleType

import pytest
import torch
from torch import nn

from atrous.deeplab.convolution import SampleSizeBatchNorm
from atrous.deeplab.network import DeepLab, build_network
from atrous.training.averaging import WeightAverage
from atrous.training.norms import set_norms, settle_norms, share_norms
from atrous.training.processes import ALONE, Processes
from atrous.training.shared_norms import SharedBatchNorm, with_shared_norms

CPU, GPU = torch.device("cpu"), torch.device("cuda")
NORMS = nn.BatchNorm2d | nn.SyncBatchNorm


@pytest.fixture
def network(tiny: ModuleType) -> DeepLab:
    return build_network("deeplabv3plus", tiny.BACKBONE, 3).train()


def norms(module: nn.Module) -> list[NORMS]:
    return [part for part in module.modules() if isinstance(part, NORMS)]


@pytest.fixture(params=[None, CPU, GPU], ids=["batch", "sync on CPUs", "sync on GPUs"])
def any_network(
    network: DeepLab, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> DeepLab:
    """With norms of each kind; without other processes their sums are the batch's."""
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda tensor: None)
    return network if request.param is None else with_shared_norms(network, request.param)


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
    any_network: DeepLab, tiny: ModuleType
) -> None:
    network = any_network
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

    assert not any(norm.training for norm in norms(network))
    means = [norm.running_mean for norm in norms(network)]
    assert all(map(torch.equal, means, wanted))
    assert all(map(torch.equal, network.parameters(), weights))
    assert all(norm.weight.grad is not None for norm in norms(network))
    network.head.aspp.dropout.p = 0.0
    torch.testing.assert_close(network(photos), network.eval()(photos))


@pytest.mark.parametrize("device", [CPU, GPU], ids=str)
def test_norms_of_frozen_layers_stay_so_where_they_are_shared(
    network: DeepLab, device: torch.device
) -> None:
    """The shared ones take the place of others after the layers froze."""
    network.backbone.freeze(4)
    backbone = with_shared_norms(network, device).train().backbone
    kept = [not norm.training for norm in norms(backbone)]
    assert kept == [not norm.weight.requires_grad for norm in norms(backbone)]
    assert 0 < sum(kept) < len(kept)


def test_sync_in_one_process_is_batch(network: DeepLab, tiny: ModuleType) -> None:
    assert share_norms(network, tiny.tiny_recipe(norm="sync"), ALONE, CPU) is network
    assert not any(isinstance(part, SharedBatchNorm) for part in network.modules())


def test_sync_in_several_processes(network: DeepLab, tiny: ModuleType) -> None:
    share_norms(network, tiny.tiny_recipe(), Processes(0, 2), CPU)
    assert not any(isinstance(part, SharedBatchNorm) for part in network.modules())
    share_norms(network, tiny.tiny_recipe(norm="sync"), Processes(0, 2), CPU)
    assert all(isinstance(norm, SharedBatchNorm) for norm in norms(network))
