from pathlib import Path
from types import ModuleType

import pytest
import torch

from atrous.datasets.version import Dataset
from atrous.domain.errors import TrainingFailed
from atrous.training.finite_loss import finite, insist_on_finite_weights
from atrous.training.loop import prepare
from atrous.training.running import Training


@pytest.fixture
def training(tiny: ModuleType, dataset: Dataset, tmp_path: Path) -> Training:
    recipe = tiny.tiny_recipe(learning_rate=0.3)
    return prepare(dataset, recipe, tiny.new_run(tmp_path, recipe))


def test_a_number_is_given_back(training: Training) -> None:
    assert finite(0.25, training) == 0.25
    insist_on_finite_weights(training)


@pytest.mark.parametrize("loss", [float("nan"), float("inf"), -float("inf")])
def test_what_to_try_is_said(training: Training, loss: float) -> None:
    said = f"the loss became {loss} in epoch 1; no epoch was done. Start .*--learning-rate 0.1:"
    with pytest.raises(TrainingFailed, match=said):
        finite(loss, training)


def test_weights_that_the_last_step_spoilt(training: Training) -> None:
    training.state.epoch = 4
    with torch.no_grad():
        next(training.network.parameters())[0] = float("nan")
    with pytest.raises(TrainingFailed, match=r"nan in epoch 5; the checkpoint of epoch 4 is kept"):
        insist_on_finite_weights(training)
