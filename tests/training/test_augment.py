from types import ModuleType

import numpy as np
import pytest
import torch
from torch import Tensor

from atrous.domain.classes import IGNORE_ID
from atrous.domain.geometry import Size
from atrous.training.augment import augment, draw_augmentation

# How far labels may lie from their picture on average, in pixels of the crop.
MOST_SHIFT = 0.2


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def coordinates(height: int, width: int) -> tuple[Tensor, Tensor]:
    """A picture that shows where each pixel lies, and a label map that says the same.

    Green rises with the row and blue with the column, by 3 a pixel; the id is row // 8 * 8 +
    column // 8.
    """
    rows = torch.arange(height)[:, None].expand(height, width)
    columns = torch.arange(width)[None, :].expand(height, width)
    image = torch.stack([torch.zeros_like(rows), rows * 3, columns * 3]).to(torch.uint8)
    return image, (rows // 8 * 8 + columns // 8).to(torch.uint8)


def test_the_same_seed_gives_the_same_crop(tiny: ModuleType) -> None:
    recipe = tiny.tiny_recipe()
    image = torch.randint(0, 256, (3, 64, 64), generator=seeded(0), dtype=torch.uint8)
    labels = torch.randint(0, 4, (64, 64), generator=seeded(1), dtype=torch.uint8)
    first = augment(image, labels, recipe, seeded(5))
    second = augment(image, labels, recipe, seeded(5))
    other = augment(image, labels, recipe, seeded(6))
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])
    assert not torch.equal(first[0], other[0])


@pytest.mark.parametrize("seed", range(12))
def test_picture_and_label_are_cut_alike(tiny: ModuleType, seed: int) -> None:
    recipe = tiny.tiny_recipe(color_jitter=0.0, crop=Size(48, 40))
    crop, ids = augment(*coordinates(64, 64), recipe, seeded(seed))
    assert crop.shape == (3, 48, 40)
    assert ids.shape == (48, 40)
    shown = ids != IGNORE_ID
    rows = crop[1].float() / 3
    columns = crop[2].float() / 3
    # Every pixel's colour says the cell (8x8 pixels of the photo) that its label names, but for
    # a pixel on each side of a border between cells.
    row_of_id, column_of_id = ids.long() // 8 * 8 + 3.5, ids.long() % 8 * 8 + 3.5
    assert (rows - row_of_id)[shown].abs().max() < 6
    assert (columns - column_of_id)[shown].abs().max() < 6
    right_cell = (rows // 8 == ids.long() // 8) & (columns // 8 == ids.long() % 8)
    assert right_cell[shown].float().mean() > 0.75
    # What is not of the photo is grey and never trained on.
    assert (crop[:, ~shown] == 128).all()


@pytest.mark.parametrize("scale", [0.55, 0.75, 1.5, 1.9])
def test_labels_lie_where_the_picture_lies(tiny: ModuleType, scale: float) -> None:
    recipe = tiny.tiny_recipe(
        color_jitter=0.0, flip=0.0, scale_min=scale, scale_max=scale, crop=Size(64, 64)
    )
    shifts = []
    for edge in range(24, 40):
        image = torch.zeros(3, 64, 64, dtype=torch.uint8)
        image[:, :, edge:] = 250
        labels = (image[0] > 0).to(torch.uint8)
        crop, ids = augment(image, labels, recipe, seeded(edge))
        shown = ids != IGNORE_ID
        rows = shown.any(1)
        bright = crop[0].float()[shown].sum() / 250
        shifts.append(float(bright - (ids[shown] == 1).sum()) / int(rows.sum()))
    assert abs(np.mean(shifts)) < MOST_SHIFT


def test_flip_turns_both(tiny: ModuleType) -> None:
    fixed = {"color_jitter": 0.0, "scale_min": 1.0, "scale_max": 1.0}
    image, labels = coordinates(64, 64)
    crop, ids = augment(image, labels, tiny.tiny_recipe(flip=1.0, **fixed), seeded(0))
    assert torch.equal(crop, image.flip(2))
    assert torch.equal(ids, labels.flip(1))
    crop, ids = augment(image, labels, tiny.tiny_recipe(flip=0.0, **fixed), seeded(0))
    assert torch.equal(crop, image)
    assert torch.equal(ids, labels)


def test_colour_changes_the_picture_alone(tiny: ModuleType) -> None:
    fixed = {"flip": 0.0, "scale_min": 1.0, "scale_max": 1.0}
    image, labels = coordinates(64, 64)
    crop, ids = augment(image, labels, tiny.tiny_recipe(color_jitter=0.3, **fixed), seeded(3))
    assert not torch.equal(crop, image)
    assert torch.equal(ids, labels)


def test_ids_are_never_mixed(tiny: ModuleType) -> None:
    """A label between 1 and 200 would be the mean of two, which is a third class."""
    image = torch.zeros(3, 64, 64, dtype=torch.uint8)
    labels = torch.ones(64, 64, dtype=torch.uint8)
    labels[::2] = 200
    for seed in range(10):
        _, ids = augment(image, labels, tiny.tiny_recipe(), seeded(seed))
        assert set(ids.unique().tolist()) <= {1, 200, IGNORE_ID}


@pytest.mark.parametrize("photo", [(64, 64), (33, 200), (1, 5), (300, 40)])
def test_draws_stay_in_their_ranges(tiny: ModuleType, photo: tuple[int, int]) -> None:
    recipe = tiny.tiny_recipe()
    generator = seeded(0)
    seen = []
    for _ in range(200):
        draw = draw_augmentation(photo, recipe, generator)
        assert draw.top >= 0
        assert draw.top + draw.region[0] <= photo[0]
        assert draw.left >= 0
        assert draw.left + draw.region[1] <= photo[1]
        assert min(draw.region) >= 1
        assert min(draw.scaled) >= 1
        assert draw.pad_top >= 0
        assert draw.pad_top + draw.scaled[0] <= 64
        assert draw.pad_left >= 0
        assert draw.pad_left + draw.scaled[1] <= 64
        for factor in (draw.brightness, draw.contrast, draw.saturation):
            assert 0.7 <= factor <= 1.3
        seen.append(draw.flip)
    assert 60 < sum(seen) < 140


def test_scale_is_drawn_over_its_range(tiny: ModuleType) -> None:
    """A photo of the crop's size: at scale 2 half of it is shown, at 1/2 it fills half."""
    generator = seeded(0)
    draws = [draw_augmentation((64, 64), tiny.tiny_recipe(), generator) for _ in range(400)]
    assert min(draw.region[0] for draw in draws) in (32, 33)
    assert min(draw.scaled[0] for draw in draws) in (32, 33)
    enlarged = sum(draw.region[0] < 64 for draw in draws)
    assert 150 < enlarged < 250  # log-uniform: as many below 1 as above
    for draw in draws:  # either a part of the photo fills the crop, or all of it a part
        assert draw.region == (64, 64) or draw.scaled == (64, 64)
