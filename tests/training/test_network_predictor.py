from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest
import torch

from atrous.deeplab.network import build_network
from atrous.images.preprocess import preprocess
from atrous.training.network_predictor import NetworkPredictor


@pytest.mark.parametrize("mode", ["stretch", "letterbox"])
def test_predicts_at_the_photos_own_size(tiny: ModuleType, mode: str) -> None:
    torch.manual_seed(0)
    network = build_network("deeplabv3plus", tiny.BACKBONE, 4).eval()
    recipe = tiny.tiny_recipe()
    recipe = replace(recipe, preprocess=replace(recipe.preprocess, resize_mode=mode))
    photo = np.random.default_rng(0).integers(0, 256, (50, 90, 3)).astype(np.uint8)
    prediction = NetworkPredictor(network, recipe)(photo)
    assert prediction.label_map.shape == prediction.confidence.shape == (50, 90)
    assert prediction.label_map.max() < 4
    assert not any(parameter.grad is not None for parameter in network.parameters())


def test_says_what_the_network_says(tiny: ModuleType) -> None:
    torch.manual_seed(1)
    network = build_network("deeplabv3plus", tiny.BACKBONE, 4).eval()
    recipe = tiny.tiny_recipe()
    photo = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    with torch.no_grad():
        logits = network(torch.from_numpy(preprocess(photo, recipe.preprocess)[0]))[0]
    prediction = NetworkPredictor(network, recipe)(photo)
    shares = logits.softmax(0).amax(0).numpy()
    assert np.array_equal(prediction.label_map, logits.argmax(0).numpy())
    np.testing.assert_allclose(prediction.confidence, shares, atol=1e-4)
