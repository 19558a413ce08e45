import errno
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import Tensor

from atrous.datasets.version import Dataset
from atrous.domain.errors import BadInput
from atrous.domain.geometry import Size
from atrous.images.decode import read_image
from atrous.training import augmented_picture as module
from atrous.training import loop
from atrous.training.augmented_picture import GAP, augmented_picture, write_augmented_picture
from atrous.training.run_folder import RunFolder
from atrous.training.samples import TrainingSamples


def test_it_shows_the_first_batch(tiny: ModuleType, dataset: Dataset, tmp_path: Path) -> None:
    recipe = tiny.tiny_recipe(color_jitter=0.0)  # four photos of 64x64
    samples = TrainingSamples(dataset.splits["train"], recipe)
    state = torch.get_rng_state()
    write_augmented_picture(samples, 1, 1.0, dataset.classes, RunFolder(tmp_path))
    assert torch.equal(torch.get_rng_state(), state)  # the training sees no difference
    picture = read_image(tmp_path / "augmented.png")
    tile_height = 2 * 64 + GAP
    assert picture.shape == (2 * tile_height + GAP, 3 * 64 + 2 * GAP, 3)
    for place, number in enumerate(samples.order(1)[:4]):
        photo, labels = samples[(1, number, 1.0)]
        top, left = (place // 3) * (tile_height + GAP), (place % 3) * (64 + GAP)
        tile = picture[top : top + tile_height, left : left + 64]
        assert np.array_equal(tile[:64], photo.permute(1, 2, 0).numpy())
        plain = (labels == 0).numpy()  # background is not coloured; the legend lies above it
        below = tile[64 + GAP :]
        changed = (below != tile[:64]).any(axis=2)
        assert changed[~plain].mean() > 0.9
        assert (below[(labels == 255).numpy()] == 255).all(axis=1).any() or not (
            labels == 255
        ).any()


@pytest.mark.parametrize(("early_share", "side"), [(0.0, 64), (0.5, 32)])
def test_a_training_s_first_batch_may_have_smaller_photos(
    tiny: ModuleType,
    dataset: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    early_share: float,
    side: int,
) -> None:
    monkeypatch.setattr(loop, "keep_freed_memory", lambda: False)
    recipe = tiny.tiny_recipe(color_jitter=0.0, early_share=early_share, batch_size=1)
    run = tiny.new_run(tmp_path, recipe)
    seen: list[Tensor] = []

    def stop_at_the_first(training: object, images: Tensor, *_: object) -> float:
        seen.append(images[0])
        raise KeyboardInterrupt

    monkeypatch.setattr(loop, "gradients_of", stop_at_the_first)
    with pytest.raises(KeyboardInterrupt):
        loop.train(dataset, recipe, run, lambda _: None)
    picture = read_image(tmp_path / "augmented.png")
    assert picture.shape[1] == 2 * side + GAP
    assert np.array_equal(picture[:side, :side], seen[0].permute(1, 2, 0).numpy())


def test_pasted_objects_are_shown(tiny: ModuleType, dataset: Dataset) -> None:
    pictures = [
        augmented_picture(
            TrainingSamples(dataset.splits["train"], tiny.tiny_recipe(copy_paste=chance)),
            0,
            1.0,
            dataset.classes,
        )
        for chance in (0.0, 1.0)
    ]
    assert pictures[0].shape == pictures[1].shape
    assert not np.array_equal(*pictures)


def test_large_crops_are_thinned(
    tiny: ModuleType, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TILE_SIDE", 32)
    recipe = tiny.tiny_recipe(crop=Size(64, 48), batch_size=1)
    samples = TrainingSamples(dataset.splits["train"], recipe)
    picture = augmented_picture(samples, 0, 1.0, dataset.classes)
    assert picture.shape == (2 * 32 + GAP, 2 * 24 + GAP, 3)


def test_a_folder_that_can_not_be_written(
    tiny: ModuleType, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, "write_whole", refuse)
    samples = TrainingSamples(dataset.splits["train"], tiny.tiny_recipe())
    with pytest.raises(BadInput, match="No space left on device; free the disk"):
        write_augmented_picture(samples, 0, 1.0, dataset.classes, RunFolder(tmp_path))
