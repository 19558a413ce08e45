"""A timm backbone as DeepLab needs it: the maps at stride 4, the last but one and the last."""

import difflib
from typing import Any, NamedTuple

import timm
from jaxtyping import Float
from timm.layers.conv2d_same import Conv2dSame
from torch import Tensor, nn

from atrous.domain.errors import BadInput

LOW_LEVEL_STRIDE = 4
MULTI_GRID_BACKBONES = "resnet50 or resnet101"


class Channels(NamedTuple):
    """How many channels each of a backbone's maps has."""

    low: int
    middle: int
    last: int


class FeatureMaps(NamedTuple):
    """What a backbone gives for a batch of photos."""

    low: Float[Tensor, "n c4 h4 w4"]  # at stride 4
    middle: Float[Tensor, "n cm hm wm"]  # of the stage before the last
    last: Float[Tensor, "n c h w"]  # at the output stride


class Backbone(nn.Module):
    """A timm network without its classifier, whose last stages are dilated instead of strided.

    Dilation follows timm: the first block of a stage that lost its stride keeps the rate of the
    stage before, as in torchvision.

    lean: how far the cells of the last map look beside the middle of the area that they stand
        for, by its last stride, in pixels at stride 4: 1, further right and down, for the `tf_`
        networks, which pad like TensorFlow; -1, further left and up, where both sides are padded;
        0 for patches, and at output stride 8, where that stride is a dilation. It holds where the
        map at stride 8 has an even length; on odd ones the middle of the map stays in place.
    """

    def __init__(
        self, name: str, *, output_stride: int, multi_grid: tuple[int, int, int] | None = None
    ) -> None:
        super().__init__()
        self.name = name
        self.network = create_features(name, output_stride)
        strides = self.network.feature_info.reduction()
        channels = self.network.feature_info.channels()
        if LOW_LEVEL_STRIDE not in strides or strides[-1] != output_stride:
            raise BadInput(
                f"backbone {name!r} gives maps at strides {strides}; DeepLab needs one at stride "
                f"{LOW_LEVEL_STRIDE} and the last at {output_stride}: take another backbone, "
                "as tf_efficientnet_lite0 or resnet50"
            )
        self.low_index = max(i for i, s in enumerate(strides) if s == LOW_LEVEL_STRIDE)
        self.channels = Channels(channels[self.low_index], channels[-2], channels[-1])
        if multi_grid is not None:
            apply_multi_grid(self.network, name, output_stride, multi_grid)
        self.lean = lean_of_last_stride(self.network) if output_stride == 16 else 0
        # By name: the norms among them may be replaced later by those of several processes.
        self._frozen: list[str] = []

    def freeze(self, stride: int) -> int:
        """Let the layers up to the map at `stride` (2, 4 or 8) stay as they are, norms included.

        Gives how many parameters no longer train.
        """
        info = self.network.feature_info
        ends = zip(info.module_name(), info.reduction(), strict=True)
        ended = [name for name, reduction in ends if reduction <= stride]
        if not ended:
            raise BadInput(
                f"backbone {self.name!r} has no map at stride {stride} or below; its maps are at "
                f"{info.reduction()}: freeze up to one of these"
            )
        last = ended[-1]
        names, modules = zip(*self.network.named_modules(), strict=True)
        end = 1 + max(i for i, name in enumerate(names) if f"{name}.".startswith(f"{last}."))
        parts = zip(names[:end], modules[:end], strict=True)
        self._frozen = [name for name, part in parts if [*part.parameters(recurse=False)]]
        frozen = [parameter for layer in self._frozen_layers() for parameter in layer.parameters()]
        for parameter in frozen:
            parameter.requires_grad_(False)
        self.train(self.training)
        return sum(parameter.numel() for parameter in frozen)

    def train(self, mode: bool = True) -> "Backbone":
        """As of every module, but frozen layers stay as they are for prediction."""
        super().train(mode)
        for layer in self._frozen_layers():
            layer.eval()
        return self

    def _frozen_layers(self) -> list[nn.Module]:
        return [self.network.get_submodule(name) for name in self._frozen]

    def forward(self, x: Float[Tensor, "n 3 h w"]) -> FeatureMaps:
        """The three maps of a normalised batch."""
        maps = self.network(x)
        return FeatureMaps(low=maps[self.low_index], middle=maps[-2], last=maps[-1])


def create_features(name: str, output_stride: int) -> Any:
    """Build timm's feature extractor with random weights; BadInput where that can't be done.

    timm's extractors have no common type: modules with a `feature_info`, which give a list of maps.
    """
    if not timm.is_model(name.split(".")[0]):
        near = difflib.get_close_matches(name, timm.list_models(), n=3)
        raise BadInput(
            f"timm has no backbone {name!r}; "
            + (f"did you mean one of {near}?" if near else "take tf_efficientnet_lite0 or resnet50")
        )
    try:
        return timm.create_model(
            name, pretrained=False, features_only=True, output_stride=output_stride
        )
    except (AssertionError, NotImplementedError, RuntimeError, TypeError, ValueError) as error:
        # timm has no common error for "this network can't be dilated".
        raise BadInput(
            f"backbone {name!r} can't be built with output stride {output_stride} "
            f"({type(error).__name__}: {error}); take another, as tf_efficientnet_lite0 or resnet50"
        ) from error


def lean_of_last_stride(network: nn.Module) -> int:
    """How the last strided layer leans on even lengths, in halves of its input's cells.

    Cell i of its output stands for the cells 2i and 2i + 1 of its input, whose middle is
    2i + 1/2; the middle of its kernel lies on another place.
    """
    lean = 0
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.MaxPool2d):
            facts = (layer.kernel_size, layer.stride, layer.padding)
            kernel, stride, padding = map(_of_rows, facts)
            if stride == 2 and kernel > 1:  # those of 1 are beside the main path
                lean = 1 if isinstance(layer, Conv2dSame) else kernel - 2 - 2 * int(padding)
    return lean


def _of_rows(value: Any) -> Any:
    return value[0] if isinstance(value, tuple) else value


def apply_multi_grid(
    network: nn.Module, name: str, output_stride: int, grid: tuple[int, int, int]
) -> None:
    """Multiply the rates of the last stage's three 3x3 convolutions (arXiv 1706.05587, 3.2.1).

    At output stride 16 the grid (1, 2, 4) gives rates (2, 4, 8), at 8 twice that.
    """
    blocks = list(getattr(network, "layer4", ()))
    if len(blocks) != len(grid) or not all(hasattr(block, "conv3") for block in blocks):
        raise BadInput(
            f"backbone {name!r} has no last stage of three bottleneck blocks, which multi_grid "
            f"{grid} needs: take {MULTI_GRID_BACKBONES}, or leave multi_grid out"
        )
    base_rate = 32 // output_stride
    for block, factor in zip(blocks, grid, strict=True):
        rate = base_rate * factor
        block.conv2.dilation = block.conv2.padding = (rate, rate)
