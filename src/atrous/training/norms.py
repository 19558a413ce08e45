"""What batch norms do while training: learn from the batch, stay as they are, or work together.

A batch norm's mean and variance over two or three photos say little, and a network trained with
them is another than the one that is evaluated. "frozen" keeps the backbone's statistics, those of
ImageNet or of the checkpoint that was loaded, and learns scales and shifts alone (He et al.,
1512.03385, appendix A). The head's, which begin at random, still learn from the batch, where each
photo has thousands of places; but for image pooling, which has one value per photo.
"""

import logging

import torch
from torch import nn

from atrous.deeplab.convolution import SampleSizeBatchNorm
from atrous.deeplab.network import DeepLab
from atrous.domain.recipes import TrainingRecipe
from atrous.training.processes import Processes
from atrous.training.shared_norms import with_shared_norms

logger = logging.getLogger(__name__)
Norm = nn.BatchNorm2d | nn.SyncBatchNorm  # the latter, between GPUs, is no kind of the former


def set_norms(network: DeepLab, recipe: TrainingRecipe, settled: bool) -> None:
    """Freeze the statistics that shall stay as they are; call it after each `network.train()`.

    settled: those of all norms; otherwise what the recipe's `norm` says.
    """
    if settled:
        for norm in _norms(network):
            norm.eval()
    elif recipe.norm == "frozen":
        for norm in _norms(network.backbone):
            norm.eval()
        for module in network.head.modules():
            if isinstance(module, SampleSizeBatchNorm):
                module.eval()


@torch.no_grad()
def settle_norms(network: DeepLab, average: DeepLab) -> None:
    """Give all norms the averaged network's statistics, to keep for the rest of the training.

    Running statistics are those of the last 10 batches or so. Of small batches of photos that
    differ much they are noise, and the network that is evaluated with them is another than the
    one that was trained. Trained on with fixed statistics, the weights fit them (Wu and Johnson,
    2105.07576, section 4).
    """
    for norm, source in zip(_norms(network), _norms(average), strict=True):
        for own, averaged in zip(norm.buffers(False), source.buffers(False), strict=True):
            own.copy_(averaged)


def share_norms(
    network: DeepLab, recipe: TrainingRecipe, processes: Processes, device: torch.device
) -> DeepLab:
    """With "sync" and several processes: norms over the photos of all of them.

    The names in the state dict stay the same. In a single process "sync" is "batch".
    """
    if recipe.norm != "sync":
        return network
    if processes.count == 1:
        logger.info("one process trains: norm sync is the same as batch")
        return network
    return with_shared_norms(network, device)


def _norms(module: nn.Module) -> list[Norm]:
    return [part for part in module.modules() if isinstance(part, Norm)]
