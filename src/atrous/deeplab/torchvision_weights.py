"""torchvision's DeepLabv3 checkpoints (ResNet-50 and -101) as our network, output for output."""

import re

from torch import Tensor

from atrous.deeplab.network import DeepLab, build_network
from atrous.domain.errors import BadInput

# ResNets are told apart by the number of blocks in their third stage.
BACKBONES = {6: "resnet50", 23: "resnet101"}

# torchvision's names, in the order of their modules, and ours.
RENAMED = (
    (r"backbone\.(.+)", r"backbone.network.\1"),
    (r"classifier\.0\.convs\.([0-3])\.(.+)", r"head.aspp.branches.\1.\2"),
    # Its pooling branch starts with the pooling itself, which has no weights.
    (r"classifier\.0\.convs\.4\.1\.(.+)", r"head.aspp.branches.4.project.0.\1"),
    (r"classifier\.0\.convs\.4\.2\.(.+)", r"head.aspp.branches.4.project.1.\1"),
    (r"classifier\.0\.project\.(.+)", r"head.aspp.project.\1"),
    (r"classifier\.1\.(.+)", r"head.refine.0.\1"),
    (r"classifier\.2\.(.+)", r"head.refine.1.\1"),
    (r"classifier\.4\.(.+)", r"head.classify.\1"),
    (r"aux_classifier\.0\.(.+)", r"auxiliary_head.refine.0.\1"),
    (r"aux_classifier\.1\.(.+)", r"auxiliary_head.refine.1.\1"),
    (r"aux_classifier\.4\.(.+)", r"auxiliary_head.classify.\1"),
)


def import_torchvision(state_dict: dict[str, Tensor]) -> DeepLab:
    """Build our DeepLabv3 with weights of torchvision's `deeplabv3_resnet50` or `_resnet101`.

    state_dict: of `torchvision.models.segmentation`, with or without its auxiliary classifier; the
    number of classes is read from it. The network gives torchvision's outputs: output stride 8,
    rates (12, 24, 36), nothing separable. Photos are normalised with ImageNet's mean and std.
    Raises BadInput for other state dicts, naming what does not fit.
    """
    blocks = {int(m[1]) for key in state_dict if (m := re.match(r"backbone\.layer3\.(\d+)\.", key))}
    classify = state_dict.get("classifier.4.weight")
    if len(blocks) not in BACKBONES or classify is None:
        raise BadInput(
            "this state dict is not of torchvision's deeplabv3_resnet50 or deeplabv3_resnet101: "
            f"backbone.layer3 has {len(blocks)} blocks (expected 6 or 23) and classifier.4.weight "
            f"is {'absent' if classify is None else 'there'}"
        )
    network = build_network(
        "deeplabv3",
        BACKBONES[len(blocks)],
        classify.shape[0],
        output_stride=8,
        separable=False,
        auxiliary=any(key.startswith("aux_classifier.") for key in state_dict),
    )
    try:
        network.load_state_dict({renamed(key): value for key, value in state_dict.items()})
    except RuntimeError as error:
        raise BadInput(f"torchvision's weights do not fit: {error}") from error
    return network


def renamed(key: str) -> str:
    """Our name of one of torchvision's tensors.

    >>> renamed("classifier.0.convs.2.0.weight")
    'head.aspp.branches.2.0.weight'
    """
    for pattern, ours in RENAMED:
        if match := re.fullmatch(pattern, key):
            return match.expand(ours)
    return key
