"""An exponential moving average of a network's weights, which is what is evaluated and exported."""

import copy

import torch

from atrous.deeplab.network import DeepLab


class WeightAverage:
    """Keeps `network`, a copy whose weights follow the trained ones slowly.

    Polyak and Juditsky, 1992, with a decay that starts low so that the random beginning is
    forgotten: min(decay, (1 + updates) / (10 + updates)), as in TensorFlow's
    ExponentialMovingAverage. Statistics of batch norm are averaged as well.
    """

    def __init__(self, network: DeepLab, decay: float) -> None:
        self.network = copy.deepcopy(network).eval()
        self.network.requires_grad_(False)
        self.decay = decay
        self.updates = 0

    @torch.no_grad()
    def update(self, trained: DeepLab) -> None:
        """Take one step toward the weights of `trained`."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        for average, value in zip(
            self.network.state_dict().values(), trained.state_dict().values(), strict=True
        ):
            if average.dtype.is_floating_point:
                average.lerp_(value, 1.0 - decay)
            else:
                average.copy_(value)
