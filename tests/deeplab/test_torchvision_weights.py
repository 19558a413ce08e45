from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import segmentation

from atrous.deeplab.torchvision_weights import import_torchvision
from atrous.domain.errors import BadInput


@pytest.fixture(scope="module")
def resnet50() -> nn.Module:
    torch.manual_seed(0)
    return segmentation.deeplabv3_resnet50(
        weights=None, weights_backbone=None, num_classes=7, aux_loss=True
    )


@pytest.mark.parametrize("size", [(64, 64), (65, 97), (120, 88)])
def test_outputs_are_torchvisions(
    resnet50: nn.Module, size: tuple[int, int], shaken: Callable[[nn.Module], nn.Module]
) -> None:
    theirs = shaken(resnet50).eval()
    ours = import_torchvision(theirs.state_dict()).eval()
    x = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected, logits = theirs(x)["out"], ours(x)
    # Another dilation of a single block changes the logits by about their spread over the photo.
    spread = float(expected.std(dim=(2, 3)).mean())
    assert spread > 0.01
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-4 * spread)


def test_training_outputs_are_torchvisions(
    resnet50: nn.Module, shaken: Callable[[nn.Module], nn.Module]
) -> None:
    theirs = shaken(resnet50).train()
    ours = import_torchvision(theirs.state_dict()).train()
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    results = []
    for network in (theirs, ours):
        torch.manual_seed(2)  # the same dropout
        with torch.no_grad():
            results.append(network(x))
    expected, (logits, auxiliary) = results
    torch.testing.assert_close(logits, expected["out"], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(auxiliary, expected["aux"], rtol=1e-4, atol=1e-5)


def test_resnet101_without_auxiliary_head(shaken: Callable[[nn.Module], nn.Module]) -> None:
    torch.manual_seed(0)
    theirs = shaken(
        segmentation.deeplabv3_resnet101(
            weights=None, weights_backbone=None, num_classes=2, aux_loss=False
        )
    ).eval()
    ours = import_torchvision(theirs.state_dict()).eval()
    assert ours.config.backbone == "resnet101"
    assert ours.auxiliary_head is None
    x = torch.randn(1, 3, 48, 64)
    with torch.no_grad():
        torch.testing.assert_close(ours(x), theirs(x)["out"], rtol=1e-4, atol=1e-5)


def test_other_weights_are_refused(resnet50: nn.Module) -> None:
    with pytest.raises(BadInput, match="deeplabv3_resnet50"):
        import_torchvision(nn.Conv2d(3, 4, 1).state_dict())
    torn: dict[str, Tensor] = dict(resnet50.state_dict())
    del torn["classifier.1.weight"]
    with pytest.raises(BadInput, match=r"head\.refine\.0\.weight"):
        import_torchvision(torn)
