import copy
from types import ModuleType

import pytest
import torch
from timm.layers import BatchNormAct2d
from torch import nn

from atrous.deeplab.network import build_network
from atrous.training.shared_norms import SharedBatchNorm, with_shared_norms


@pytest.fixture(autouse=True)
def one_process_s_sums_are_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda tensor: None)


@pytest.mark.parametrize("norm", [nn.BatchNorm2d(4), BatchNormAct2d(4, act_layer=nn.ReLU)])
def test_it_is_the_batch_norm_it_replaces(norm: nn.BatchNorm2d) -> None:
    """Values, gradients, running statistics, and names; of one process, which is the batch."""
    torch.manual_seed(0)
    with torch.no_grad():
        norm.weight.uniform_(0.5, 2.0)
        norm.bias.uniform_(-1.0, 1.0)
    shared = SharedBatchNorm(copy.deepcopy(norm))
    assert list(shared.state_dict()) == list(norm.state_dict())
    photos = torch.randn(3, 4, 5, 6) * 3 + 10
    found = []
    for module in (norm.train(), shared.train()):
        module.zero_grad()
        x = photos.clone().requires_grad_()
        y = module(x)
        (y * torch.linspace(-1, 1, y.numel()).view_as(y)).sum().backward()
        found.append([y, x.grad, module.weight.grad.clone(), *module.buffers()])
        found[-1] += [module.eval()(photos)]
    for plain, ours in zip(*found, strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-4)


def test_all_norms_of_a_network_on_a_cpu(tiny: ModuleType) -> None:
    network = build_network("deeplabv3plus", tiny.BACKBONE, 3)
    names = list(network.state_dict())
    shared = with_shared_norms(network, torch.device("cpu"))
    assert list(shared.state_dict()) == names
    norms = [part for part in shared.modules() if isinstance(part, nn.BatchNorm2d)]
    assert norms
    assert all(isinstance(norm, SharedBatchNorm) for norm in norms)


def test_a_gpu_has_torch_s(tiny: ModuleType) -> None:
    network = build_network("deeplabv3plus", tiny.BACKBONE, 3)
    names = list(network.state_dict())
    shared = with_shared_norms(network, torch.device("cuda"))
    assert list(shared.state_dict()) == names
    assert not any(isinstance(part, nn.BatchNorm2d) for part in shared.modules())
    assert any(isinstance(part, nn.SyncBatchNorm) for part in shared.modules())
