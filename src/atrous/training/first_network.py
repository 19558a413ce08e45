"""The network that a training begins with: built, and filled with the weights it starts from."""

import logging
from pathlib import Path

import torch

from atrous.deeplab.network import DeepLab, build_network
from atrous.deeplab.starting_point import fitting_tensors, load_starting_point
from atrous.deeplab.weights import load_backbone_weights
from atrous.domain.errors import BadInput
from atrous.domain.recipes import TrainingRecipe

logger = logging.getLogger(__name__)


def make_network(recipe: TrainingRecipe, classes: int) -> DeepLab:
    """Build the network with random weights; its first layers stay as they are where asked."""
    network = build_network(
        recipe.architecture,
        recipe.backbone,
        classes,
        output_stride=recipe.output_stride,
        separable=recipe.separable,
        auxiliary=recipe.auxiliary_weight > 0,
        aligned=recipe.aligned,
    )
    if recipe.frozen_stride:
        count = network.backbone.freeze(recipe.frozen_stride)
        logger.info("%d parameters of the backbone's first layers stay as they are", count)
    return network


def insist_on_start(recipe: TrainingRecipe, classes: int) -> None:
    """BadInput where the checkpoint to start from, if there is one, is of another network."""
    if recipe.start:
        with torch.random.fork_rng(devices=[]):  # what it draws is nobody's
            fitting_tensors(make_network(recipe, classes), Path(recipe.start))


def load_first_weights(network: DeepLab, recipe: TrainingRecipe) -> None:
    """Load what a new run starts from: a checkpoint, ImageNet weights, nothing.

    Raises BadInput where ImageNet weights are wanted, there are none, and random ones would stay
    as they are.
    """
    if recipe.start:
        load_starting_point(network, Path(recipe.start))
    elif recipe.pretrained:
        if not load_backbone_weights(network).pretrained:
            _insist_on_learning_all(recipe)
    else:
        logger.warning("backbone %s starts from RANDOM weights, as asked", recipe.backbone)


def _insist_on_learning_all(recipe: TrainingRecipe) -> None:
    kept = []
    if recipe.norm == "frozen":
        kept.append("the norms, without --norm batch")
    if recipe.frozen_stride:
        kept.append("the first layers, without --set frozen_stride=0")
    if kept:
        raise BadInput(
            f"no weights of backbone {recipe.backbone} were found, and random ones would stay as "
            f"they are in {' and '.join(kept)}; learn them so, take another --backbone, or give "
            "weights with --start"
        )
