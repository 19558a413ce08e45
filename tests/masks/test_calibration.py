import math

import numpy as np
import pytest
import torch
from torchmetrics.classification import MulticlassCalibrationError

from atrous.masks.calibration import BINS, Calibration


def test_the_figure_of_torchmetrics() -> None:
    rng = np.random.default_rng(3)
    truth = rng.integers(0, 5, (4, 700))
    logits = rng.standard_normal((4, 5, 700)) * 2
    logits[np.arange(4)[:, None], truth, np.arange(700)] += 1.5
    probabilities = torch.from_numpy(logits).softmax(dim=1).float()
    theirs = MulticlassCalibrationError(num_classes=5, n_bins=BINS, norm="l1")
    ours = Calibration.zeros()
    for photo in range(4):
        theirs.update(probabilities[photo].T, torch.from_numpy(truth[photo]))
        confidence, ids = probabilities[photo].max(dim=0)
        ours.add(confidence.numpy(), ids.numpy() == truth[photo])
    assert ours.expected_error() == pytest.approx(float(theirs.compute()), abs=1e-6)
    assert ours.expected_error() > 0.02


def test_bins() -> None:
    counts = Calibration.zeros()
    assert math.isnan(counts.expected_error())
    assert counts.as_json() == []
    counts.add(np.array([0.0, 1.0, 0.95], np.float32), np.array([False, True, False]))
    [unsure, sure] = counts.as_json()
    assert unsure == {"confidence": 0.0, "accuracy": 0.0, "pixels": 1}
    assert sure["confidence"] == pytest.approx(0.975)
    assert (sure["accuracy"], sure["pixels"]) == (0.5, 2)
    assert counts.expected_error() == pytest.approx(0.95 / 3)
