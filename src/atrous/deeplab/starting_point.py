"""Starting from somebody's checkpoint instead of ImageNet weights: fine-tuning."""

import logging
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from atrous.deeplab.checkpoint_files import read_state_dict
from atrous.deeplab.network import DeepLab, NetworkConfig
from atrous.deeplab.torchvision_weights import import_torchvision
from atrous.domain.errors import BadInput

logger = logging.getLogger(__name__)
TORCHVISION_MARK = "classifier.4.weight"
LEAST_SHARE = 0.5  # of the network's tensors that a checkpoint has to bring


@dataclass(frozen=True)
class StartReport:
    """How well a checkpoint fitted."""

    matched: int  # tensors of the network that were loaded
    unmatched: tuple[str, ...]  # names of those that keep their random values


def network_of_checkpoint(path: Path) -> NetworkConfig | None:
    """How the network of torchvision's DeepLabv3 checkpoints is built; None for any other file.

    Raises BadInput for a file that can't be read as weights.
    """
    state = read_state_dict(path)
    return import_torchvision(state).config if TORCHVISION_MARK in state else None


def load_starting_point(network: DeepLab, path: Path, log: logging.Logger = logger) -> StartReport:
    """Load what fits of a checkpoint, by name and shape; the classes' layers usually don't.

    path: torchvision's `deeplabv3_resnet50` or `_resnet101`, or a checkpoint of a run of the
    same architecture and backbone (`checkpoints/best-*.safetensors`). `log` gets the numbers.
    Raises BadInput where less than half of the network's tensors fit.
    """
    fitting = fitting_tensors(network, path)
    unmatched = tuple(key for key in network.state_dict() if key not in fitting)
    network.load_state_dict(fitting, strict=False)
    log.info("%d tensors loaded from %s", len(fitting), path)
    if unmatched:
        log.warning("%d tensors stay RANDOM: %s", len(unmatched), ", ".join(unmatched))
    return StartReport(len(fitting), unmatched)


def fitting_tensors(network: DeepLab, path: Path) -> dict[str, Tensor]:
    """What of a checkpoint fits a network, which stays as it is; BadInput for too little."""
    state = read_state_dict(path)
    if TORCHVISION_MARK in state:
        state = import_torchvision(state).state_dict()
    targets = network.state_dict()
    fitting = {
        key: value
        for key, value in state.items()
        if key in targets and targets[key].shape == value.shape
    }
    if len(fitting) < LEAST_SHARE * len(targets):
        raise BadInput(
            f"only {len(fitting)} of the network's {len(targets)} tensors fit {path}; take the "
            "architecture and backbone that it was trained with"
        )
    return fitting
