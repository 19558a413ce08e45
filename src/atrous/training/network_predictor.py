"""A network in training as a predictor of photos, by the path that serving takes."""

import numpy as np
import torch
from jaxtyping import UInt8

from atrous.deeplab.network import DeepLab
from atrous.domain.classes import BACKGROUND_ID
from atrous.domain.predictions import Prediction
from atrous.domain.recipes import TrainingRecipe
from atrous.images.preprocess import preprocess
from atrous.runtime.postprocess import restore
from atrous.training.precision import autocast


class NetworkPredictor:
    """Predicts photos with a torch network: same preprocessing, same way back as serving."""

    def __init__(self, network: DeepLab, recipe: TrainingRecipe) -> None:
        self.network = network
        self.recipe = recipe
        self.device = next(network.parameters()).device

    @torch.no_grad()
    def __call__(self, image: UInt8[np.ndarray, "height width 3"]) -> Prediction:
        """The label map and confidence of an RGB photo (0..255), at its own size."""
        batch, placement = preprocess(image, self.recipe.preprocess)
        tensor = torch.from_numpy(batch).to(self.device, memory_format=torch.channels_last)
        with autocast(self.recipe, self.device):
            logits = self.network(tensor)
        return restore(
            logits[0].float().cpu().numpy(),
            placement,
            background_id=BACKGROUND_ID,
            class_count=self.network.config.classes,
        )
