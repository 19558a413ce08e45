"""What batch norms do while training: learn from the batch, stay as they are, or work together.

A batch norm's mean and variance over two or three photos say little, and a network trained with
them is another than the one that is evaluated. "frozen" keeps the backbone's statistics, those of
ImageNet or of the checkpoint that was loaded, and learns scales and shifts alone (He et al.,
1512.03385, appendix A). The head's, which begin at random, still learn from the batch, where each
photo has thousands of places; but for image pooling, which has one value per photo.
"""

import logging

import torch
from timm.layers.norm_act import convert_sync_batchnorm
from torch import nn

from atrous.deeplab.convolution import SampleSizeBatchNorm
from atrous.deeplab.network import DeepLab
from atrous.domain.recipes import TrainingRecipe

logger = logging.getLogger(__name__)


def set_norms(network: DeepLab, recipe: TrainingRecipe) -> None:
    """Freeze the statistics that the recipe wants frozen; call it after each `network.train()`."""
    if recipe.norm != "frozen":
        return
    for module in network.backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    for module in network.head.modules():
        if isinstance(module, SampleSizeBatchNorm):
            module.eval()


def share_norms(network: DeepLab, recipe: TrainingRecipe) -> DeepLab:
    """With "sync" and several processes: norms over the photos of all of them.

    The names in the state dict stay the same. In a single process "sync" is "batch".
    """
    if recipe.norm != "sync":
        return network
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        logger.info("one process trains: norm sync is the same as batch")
        return network
    shared: DeepLab = convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
    return shared
