from types import ModuleType

import numpy as np
import pytest

from atrous.domain.errors import NotFound
from atrous.jobs import child
from atrous.jobs.dataset_child import run
from atrous.jobs.evaluate_training import photo_entry, sweep_of
from atrous.masks.photo_figures import PhotoTotals
from atrous.masks.thresholds import ConfidenceCounts
from atrous.store.jobs import Job
from atrous.store.opening import Store
from atrous.store.trainings import Training


@pytest.fixture
def trained(store: Store, dataset_project: ModuleType, tiny: ModuleType) -> Training:
    """A training of one epoch on eight pictures; its evaluation waits."""
    project = dataset_project.fill_project(store, count=8)
    version = store.versions.create(project, preprocessing={}, augmentation={}, seed=4)
    job = store.jobs.claim("w", ["generate"])
    assert job is not None
    run(job, "w", store)
    training = store.trainings.create(version, "deeplabv3plus", {**tiny.CHOICES, "epochs": 1})
    job = store.jobs.claim("w", ["train-version"])
    assert job is not None
    store.jobs.finish(job.id, "w", child.run_training(job, "w", store))
    return store.trainings.get(version, training.id)


def waiting_evaluation(store: Store) -> Job:
    job = store.jobs.claim("w", ["evaluate"])
    assert job is not None
    return job


def test_every_training_is_evaluated(store: Store, trained: Training) -> None:
    result = run(waiting_evaluation(store), "w", store)
    assert result["class_names"] == ["background", "road", "tree"]
    assert set(result["splits"]) == {"train", "valid"}
    valid = result["splits"]["valid"]
    matrix = np.array(valid["confusion_matrix"])
    assert matrix.shape == (3, 3)
    labelled = sum(entry["pixels"] for entry in valid["classes"])
    assert matrix.sum() == labelled <= 24 * 32  # at the picture's own size
    assert [photo["name"] for photo in valid["photo_figures"]] != []
    assert valid["sweep"][0]["confidence"] == 0
    assert valid["sweep"][0]["miou"] == pytest.approx(valid["miou"])


def test_a_model_that_went_is_not_measured(store: Store, trained: Training) -> None:
    job = waiting_evaluation(store)
    store.models.remove(store.models.list()[0])
    with pytest.raises(NotFound, match="no model any more"):
        run(job, "w", store)


def test_a_sweep_turns_unsure_pixels_into_background() -> None:
    counts = ConfidenceCounts.zeros(2, 0)
    truth = np.array([1, 1, 0, 0], np.uint8)
    predicted = np.array([1, 1, 1, 0], np.uint8)
    counts.add(truth, predicted, np.array([0.9, 0.6, 0.3, 0.9], np.float32))
    by_percent = {entry["confidence"]: entry for entry in sweep_of(counts, (0, 1))}
    assert by_percent[0]["precision"] == pytest.approx(2 / 3)
    assert by_percent[0]["recall"] == 1.0
    assert by_percent[40]["miou"] == 1.0
    assert by_percent[40]["f1"] == 1.0
    assert by_percent[75]["recall"] == 0.5
    assert by_percent[95]["precision"] is None


def test_a_photo_without_labels_has_no_figure() -> None:
    nothing = np.zeros(2, np.int64)
    entry = photo_entry(PhotoTotals("a.png", nothing, nothing, nothing))
    assert entry == {"name": "a.png", "miou": None, "right": 0, "labelled": 0, "predicted": 0}
