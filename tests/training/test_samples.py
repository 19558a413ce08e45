import json
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest
import torch

from atrous.datasets.version import Dataset, Sample
from atrous.domain.recipes import TrainingRecipe
from atrous.images.preprocess import normalize
from atrous.training import photo_cache
from atrous.training.samples import (
    TrainingSamples,
    batches_of_epoch,
    normalize_batch,
    steps_per_epoch,
)

TURNS = {"clockwise": True}
Batches = list[tuple[torch.Tensor, torch.Tensor]]


def epoch_of(dataset: Dataset, recipe: TrainingRecipe, epoch: int) -> Batches:
    return list(batches_of_epoch(TrainingSamples(dataset.splits["train"], recipe), epoch))


def same(first: Batches, second: Batches) -> bool:
    pairs = zip(first, second, strict=True)
    return all(torch.equal(a, b) for one, other in pairs for a, b in zip(one, other, strict=True))


def unchanged(tiny: ModuleType, **choices: object) -> TrainingRecipe:
    """A recipe whose crops are the photos as they are."""
    return tiny.tiny_recipe(scale_min=1.0, scale_max=1.0, flip=0.0, color_jitter=0.0, **choices)


def test_every_photo_comes_once(tiny: ModuleType, dataset: Dataset) -> None:
    photos = [sample.read() for sample in dataset.splits["train"]]
    for epoch in (0, 1):
        batches = epoch_of(dataset, unchanged(tiny), epoch)
        assert [len(images) for images, _ in batches] == [4, 4]
        images = torch.cat([images for images, _ in batches]).permute(0, 2, 3, 1).numpy()
        labels = torch.cat([labels for _, labels in batches]).numpy()
        order = [
            next(i for i, (_, truth) in enumerate(photos) if np.array_equal(truth, label))
            for label in labels
        ]
        assert sorted(order) == list(range(8))
        assert order != list(range(8))
        for index, image in zip(order, images, strict=True):
            assert np.array_equal(image, photos[index][0])


def test_steps_of_versions_can_be_drawn_anew_in_each_epoch(
    tiny: ModuleType, dataset: Dataset
) -> None:
    steps = {"mosaic": True, "rotate": {"degrees": 30}, "noise": {"percent": 9}, "ninety": TURNS}
    plain = unchanged(tiny)
    recipe = replace(plain, augmentation=json.dumps(steps))
    assert same(epoch_of(dataset, recipe, 1), epoch_of(dataset, recipe, 1))
    assert not same(epoch_of(dataset, recipe, 1), epoch_of(dataset, recipe, 2))
    assert not same(epoch_of(dataset, recipe, 1), epoch_of(dataset, plain, 1))
    labels = torch.cat([labels for _, labels in epoch_of(dataset, recipe, 1)])
    assert (labels == 255).any()
    assert same(epoch_of(dataset, replace(recipe, augmentation=""), 1), epoch_of(dataset, plain, 1))


def test_epochs_differ_and_can_be_had_again(tiny: ModuleType, dataset: Dataset) -> None:
    recipe = tiny.tiny_recipe()
    assert same(epoch_of(dataset, recipe, 3), epoch_of(dataset, recipe, 3))
    assert not same(epoch_of(dataset, recipe, 3), epoch_of(dataset, recipe, 4))
    other = tiny.tiny_recipe(seed=1)
    assert not same(epoch_of(dataset, recipe, 3), epoch_of(dataset, other, 3))


def test_another_process_gives_the_same(tiny: ModuleType, dataset: Dataset) -> None:
    alone = epoch_of(dataset, tiny.tiny_recipe(workers=0), 2)
    helped = epoch_of(dataset, tiny.tiny_recipe(workers=1), 2)
    assert same(alone, helped)


@pytest.mark.parametrize(("batch_size", "batches"), [(3, [3, 3]), (8, [8]), (9, [8]), (1, [1] * 8)])
def test_the_last_batch(
    tiny: ModuleType, dataset: Dataset, batch_size: int, batches: list[int]
) -> None:
    found = epoch_of(dataset, tiny.tiny_recipe(batch_size=batch_size), 0)
    assert [len(images) for images, _ in found] == batches
    assert steps_per_epoch(8, batch_size) == len(batches)


def test_photos_are_decoded_once(
    tiny: ModuleType, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    names, read = [], Sample.read
    monkeypatch.setattr(Sample, "read", lambda self: (names.append(self.name), read(self))[1])
    samples = TrainingSamples(dataset.splits["train"], tiny.tiny_recipe())
    for epoch in range(3):
        list(batches_of_epoch(samples, epoch))
    assert sorted(names) == sorted(sample.name for sample in dataset.splits["train"])


def test_the_cache_is_bounded(
    tiny: ModuleType, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(photo_cache, "CACHE_BYTES", 3 * 64 * 64 * 4)
    recipe = tiny.tiny_recipe()
    samples = TrainingSamples(dataset.splits["train"], recipe)
    small = list(batches_of_epoch(samples, 0))
    assert len(samples._cache) == 3
    assert same(small, list(batches_of_epoch(samples, 0)))


def test_photos_that_another_process_read_are_not_read_again(
    tiny: ModuleType, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Processes that augment end with their epoch; what they decoded stays."""
    samples = TrainingSamples(dataset.splits["train"], tiny.tiny_recipe(workers=2))
    first = list(batches_of_epoch(samples, 0))
    assert len(samples._cache) == 8

    def refuse(self: Sample) -> None:
        raise AssertionError(f"{self.name} is read again")

    monkeypatch.setattr(Sample, "read", refuse)
    assert same(first, list(batches_of_epoch(samples, 0)))
    assert not same(first, list(batches_of_epoch(samples, 1)))


@pytest.mark.parametrize("color_mode", ["rgb", "bgr"])
@pytest.mark.parametrize("scaling_factor", [255.0, 1.0])
def test_normalises_as_serving_does(
    tiny: ModuleType, color_mode: str, scaling_factor: float
) -> None:
    recipe = tiny.tiny_recipe()
    preprocess = replace(recipe.preprocess, color_mode=color_mode, scaling_factor=scaling_factor)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3)).astype(np.uint8)
    batch = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    given = normalize_batch(batch, replace(recipe, preprocess=preprocess)).numpy()
    expected = np.stack([normalize(photo, preprocess) for photo in pixels])
    np.testing.assert_allclose(given, expected, rtol=1e-5, atol=1e-5)


def test_early_crops_are_smaller_and_show_as_much(tiny: ModuleType, dataset: Dataset) -> None:
    """At half the scale a crop is the whole photo at half its size, its labels with it."""
    samples = TrainingSamples(dataset.splits["train"], unchanged(tiny))
    whole = list(batches_of_epoch(samples, 0))
    small = list(batches_of_epoch(samples, 0, 0.5))
    for (images, labels), (less, fewer) in zip(whole, small, strict=True):
        assert less.shape[2:] == fewer.shape[1:] == (32, 32)
        shrunk = torch.nn.functional.avg_pool2d(images.float(), 2)
        assert (shrunk - less.float()).abs().mean() < 4
        assert (fewer == labels[:, 1::2, 1::2]).float().mean() > 0.9


def test_photos_of_rare_classes_come_more_often(tiny: ModuleType, dataset: Dataset) -> None:
    """With a threshold of 1 a class in the share f of the photos has the factor 1 / sqrt(f)."""
    recipe = unchanged(tiny, repeat_threshold=1.0, batch_size=1)
    samples = TrainingSamples(dataset.splits["train"], recipe)
    assert samples.epoch_length > len(samples)
    orders = [samples.order(epoch) for epoch in range(4)]
    assert {len(order) for order in orders} == {samples.epoch_length}
    assert len({tuple(order) for order in orders}) == 4
    for order in orders:
        assert len(set(order)) == len(order)  # a photo's second crop has a number of its own
        assert {number % len(samples) for number in order} == set(range(len(samples)))
    again = TrainingSamples(dataset.splits["train"], recipe)
    assert [again.order(epoch) for epoch in range(4)] == orders
    assert len(epoch_of(dataset, recipe, 0)) == samples.epoch_length


def test_a_photo_that_comes_again_is_cut_anew(tiny: ModuleType, dataset: Dataset) -> None:
    samples = TrainingSamples(dataset.splits["train"], tiny.tiny_recipe())
    first, second = (samples[(0, number, 1.0)][0] for number in (3, 3 + len(samples)))
    assert not torch.equal(first, second)
