from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from atrous.deeplab.smp_weights import import_smp_deeplabv3plus
from atrous.domain.errors import BadInput

smp = pytest.importorskip("segmentation_models_pytorch")
pytestmark = pytest.mark.filterwarnings("ignore:`timm-` encoders are deprecated")

ENCODERS = [
    "resnet18",
    "resnet50",
    "resnet101",
    "mobilenet_v2",
    "timm-tf_efficientnet_lite0",
    "timm-efficientnet-b0",
    "tu-tf_efficientnet_lite0",
    "tu-mobilenetv3_large_100",
]


def smp_network(encoder: str, **options: object) -> nn.Module:
    torch.manual_seed(0)
    network: nn.Module = smp.DeepLabV3Plus(encoder, encoder_weights=None, classes=4, **options)
    return network.eval()


@pytest.mark.parametrize("encoder", ENCODERS)
def test_outputs_are_smps(encoder: str, shaken: Callable[[nn.Module], nn.Module]) -> None:
    theirs = shaken(smp_network(encoder))
    ours = import_smp_deeplabv3plus(theirs.state_dict(), encoder, 4).eval()
    for size in ((64, 96), (80, 48)):
        x = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            expected, logits = theirs(x), ours(x)
        spread = float(expected.std(dim=(2, 3)).mean())
        assert spread > 0.002
        torch.testing.assert_close(logits, expected, rtol=0, atol=1e-3 * spread)


@pytest.mark.parametrize("encoder", ["resnet18", "mobilenet_v2", "timm-tf_efficientnet_lite0"])
def test_outputs_at_output_stride_8(encoder: str, shaken: Callable[[nn.Module], nn.Module]) -> None:
    theirs = shaken(smp_network(encoder, encoder_output_stride=8))
    ours = import_smp_deeplabv3plus(theirs.state_dict(), encoder, 4, output_stride=8).eval()
    x = torch.randn(1, 3, 72, 64)
    with torch.no_grad():
        torch.testing.assert_close(ours(x), theirs(x), rtol=0, atol=2e-6)


def test_lightning_checkpoint_with_classifier_is_read() -> None:
    theirs = smp_network("resnet18", aux_params={"classes": 2})
    entries = {f"model.{key}": value for key, value in theirs.state_dict().items()}
    checkpoint = {"epoch": 1, "state_dict": {**entries, "std": torch.ones(3)}}
    ours = import_smp_deeplabv3plus(checkpoint, "resnet18", 4).eval()
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(ours(x), theirs(x)[0], rtol=0, atol=2e-6)


def test_trains_with_one_photo_in_the_batch() -> None:
    network = import_smp_deeplabv3plus(smp_network("resnet18").state_dict(), "resnet18", 4)
    network.train()(torch.randn(1, 3, 64, 64)).sum().backward()


def test_exported_network_agrees(tmp_path: Path, shaken: Callable[[nn.Module], nn.Module]) -> None:
    theirs = shaken(smp_network("mobilenet_v2"))
    ours = import_smp_deeplabv3plus(theirs.state_dict(), "mobilenet_v2", 4).eval()
    x = torch.randn(1, 3, 64, 96)
    file = tmp_path / "weights.onnx"
    torch.onnx.export(
        ours, (x,), file, input_names=["images"], dynamo=True, external_data=False, verbose=False
    )
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    with torch.no_grad():
        expected = theirs(x).numpy()
    np.testing.assert_allclose(
        session.run(None, {"images": x.numpy()})[0], expected, rtol=0, atol=1e-4
    )


def test_what_does_not_fit_is_refused() -> None:
    state = smp_network("resnet18").state_dict()
    with pytest.raises(BadInput, match="encoder 'resnet34' and 4 classes"):
        import_smp_deeplabv3plus(state, "resnet34", 4)
    with pytest.raises(BadInput, match="size mismatch for segmentation_head"):
        import_smp_deeplabv3plus(state, "resnet18", 5)
    with pytest.raises(BadInput, match="'vgg11' can't be imported; these can: resnet18"):
        import_smp_deeplabv3plus(state, "vgg11", 4)
    with pytest.raises(BadInput, match="not 8 or 16"):
        import_smp_deeplabv3plus(state, "resnet18", 4, output_stride=32)
    network = import_smp_deeplabv3plus(state, "resnet18", 4).eval()
    with pytest.raises(BadInput, match="multiples of 16, got 65x64"):
        network(torch.zeros(1, 3, 64, 65))
