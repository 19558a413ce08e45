from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from atrous.deeplab.aspp import RATES
from atrous.deeplab.network import (
    NetworkConfig,
    build_network,
    network_from,
    parameter_groups,
    with_output_stride,
)
from atrous.domain.errors import BadInput
from atrous.domain.recipes import Architecture

BACKBONE = "tf_efficientnet_lite0"


@pytest.mark.parametrize("size", [(64, 96), (65, 97)])
@pytest.mark.parametrize("architecture", ["deeplabv3", "deeplabv3plus"])
def test_logits_are_at_the_photos_size(architecture: Architecture, size: tuple[int, int]) -> None:
    network = build_network(architecture, BACKBONE, 5).eval()
    with torch.no_grad():
        logits = network(torch.zeros(2, 3, *size))
    assert logits.shape == (2, 5, *size)
    assert logits.dtype == torch.float32


@pytest.mark.parametrize("autocast", [False, True])
def test_trains_with_one_photo_in_the_batch(autocast: bool) -> None:
    network = build_network("deeplabv3plus", BACKBONE, 3).train()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        logits = network(torch.randn(1, 3, 64, 64))
    logits.sum().backward()
    without = [name for name, value in network.named_parameters() if value.grad is None]
    assert without == []


def test_auxiliary_logits_come_in_training_only() -> None:
    network = build_network("deeplabv3plus", BACKBONE, 3, auxiliary=True)
    x = torch.randn(2, 3, 64, 96)
    logits, auxiliary = network.train()(x)
    assert logits.shape == auxiliary.shape == (2, 3, 64, 96)
    with torch.no_grad():
        assert network.eval()(x).shape == (2, 3, 64, 96)


def test_output_stride_switches_with_the_same_weights(
    shaken: Callable[[nn.Module], nn.Module],
) -> None:
    network = build_network("deeplabv3plus", BACKBONE, 3).train()
    shaken(network)
    before = torch.get_rng_state()

    finer = with_output_stride(network, 8)

    assert torch.equal(torch.get_rng_state(), before)
    assert finer.training
    assert finer.config.output_stride == 8
    assert rates_of(finer) == RATES[8]
    assert rates_of(network) == RATES[16]
    theirs = finer.state_dict()
    assert list(theirs) == list(network.state_dict())
    assert all(torch.equal(value, theirs[key]) for key, value in network.state_dict().items())
    x = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        coarse, fine = network.eval()(x), finer.eval()(x)
        again = with_output_stride(finer, 16)(x)
    assert finer.backbone(x).last.shape[2:] == (8, 12)
    assert not torch.allclose(coarse, fine)
    assert torch.equal(coarse, again)


def test_config_rebuilds_the_network() -> None:
    config = NetworkConfig(
        "deeplabv3", "resnet50", 4, output_stride=8, separable=False, auxiliary=True,
        multi_grid=(1, 2, 4),
    )  # fmt: skip
    network = network_from(config)
    assert network.config == config
    assert isinstance(network.auxiliary_head, nn.Module)
    assert [block.conv2.dilation[0] for block in network.backbone.network.layer4] == [4, 8, 16]
    network_from(network.config).load_state_dict(network.state_dict())


def test_parameter_groups_hold_every_parameter_once() -> None:
    network = build_network("deeplabv3plus", BACKBONE, 3, auxiliary=True)
    groups = parameter_groups(network)
    assert list(groups) == ["backbone", "head"]
    ids = [id(parameter) for group in groups.values() for parameter in group]
    assert sorted(ids) == sorted(id(parameter) for parameter in network.parameters())
    assert id(network.head.classify.weight) in {id(p) for p in groups["head"]}
    assert len(groups["backbone"]) == 144


@pytest.mark.parametrize(
    ("classes", "output_stride", "words"),
    [(0, 16, "at least 1"), (3, 32, "output stride 32 is not 8 or 16")],
)
def test_senseless_values_are_refused(classes: int, output_stride: int, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        build_network("deeplabv3", BACKBONE, classes, output_stride=output_stride)


def test_bf16_autocast_and_channels_last_agree_with_fp32() -> None:
    torch.manual_seed(0)
    network = build_network("deeplabv3plus", BACKBONE, 3).eval()
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        plain = network(x)
        network.to(memory_format=torch.channels_last)
        relaid = network(x.contiguous(memory_format=torch.channels_last))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            short = network(x)
    torch.testing.assert_close(relaid, plain, rtol=1e-4, atol=1e-5)
    assert short.dtype == torch.float32
    torch.testing.assert_close(short, plain, rtol=0, atol=0.05 * float(plain.abs().max()))


@pytest.mark.parametrize(
    ("backbone", "output_stride"),
    [(BACKBONE, 16), (BACKBONE, 8), ("mobilenetv3_large_100", 16), ("resnet18", 16)],
)
def test_exported_network_agrees(
    backbone: str,
    output_stride: int,
    shaken: Callable[[nn.Module], nn.Module],
    tmp_path: Path,
) -> None:
    torch.manual_seed(0)
    network = shaken(build_network("deeplabv3plus", backbone, 4, output_stride=output_stride))
    network.eval()
    x = torch.randn(1, 3, 96, 96)
    file = tmp_path / "weights.onnx"
    torch.onnx.export(
        network, (x,), file, input_names=["images"], dynamo=True, external_data=False,
        verbose=False,
    )  # fmt: skip
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    exported = session.run(None, {"images": x.numpy()})[0]
    with torch.no_grad():
        expected = network(x).numpy()
    assert expected.std() > 0.01
    np.testing.assert_allclose(exported, expected, rtol=0, atol=1e-4)


def rates_of(network: nn.Module) -> tuple[int, ...]:
    return tuple(
        layer.dilation[0]
        for layer in network.get_submodule("head.aspp").modules()
        if isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3)
    )


def test_logits_of_some_pixels() -> None:
    """A loss that needs every second pixel gets the same logits there, auxiliary head included."""
    network = build_network("deeplabv3plus", "resnet18", 3, auxiliary=True).train()
    for module in network.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    x = torch.randn(2, 3, 65, 64)
    pixels = (slice(1, None, 2), slice(0, None, 2))
    with torch.no_grad():
        whole, some = network(x), network(x, pixels)
    for every, chosen in zip(whole, some, strict=True):
        torch.testing.assert_close(chosen, every[:, :, pixels[0], pixels[1]], rtol=0, atol=1e-5)
