from pathlib import Path
from types import ModuleType

import numpy as np
import torch

from atrous.datasets.version import Dataset, Sample
from atrous.domain.geometry import Size
from atrous.training.copy_paste import CopyPaste, copy_paste_of, objects_of
from atrous.training.samples import TrainingSamples

GREY, COLOUR = 40, 200


def plain(height: int = 40, width: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """A grey photo of class 0, its first row ignored."""
    labels = np.zeros((height, width), np.uint8)
    labels[0] = 255
    return np.full((height, width, 3), GREY, np.uint8), labels


def with_object() -> tuple[np.ndarray, np.ndarray]:
    """A bright L of class 5 in the plain photo, and one bright dot of it."""
    image, labels = plain()
    labels[10:30, 20:26] = labels[24:30, 20:40] = 5
    labels[2, 2] = 5
    image[labels == 5] = COLOUR
    return image, labels


def only_five(chance: float = 1.0) -> CopyPaste:
    return CopyPaste(chance, {5: (3,)})


def read(number: int) -> tuple[np.ndarray, np.ndarray]:
    assert number == 3
    return with_object()


def test_areas_of_a_class_are_found_without_specks() -> None:
    [found] = objects_of(with_object()[1], 5)
    assert (found.top, found.left) == (10, 20)
    assert found.shape.shape == (20, 20)
    assert found.shape.sum() == 20 * 6 + 6 * 14
    assert objects_of(with_object()[1], 4) == []


def test_an_object_and_its_label_are_pasted_and_nothing_else() -> None:
    sizes, corners = set(), set()
    for seed in range(40):
        image, labels = only_five()(plain(), np.random.default_rng(seed), read)
        pasted = labels == 5
        before = plain()
        assert np.array_equal(image[~pasted], before[0][~pasted])
        assert np.array_equal(labels[~pasted], before[1][~pasted])
        # Bilinear enlargement mixes the outermost pixels of the object with its surroundings.
        assert (image[pasted] > GREY).mean() > 0.95
        assert (image[pasted] == COLOUR).mean() > 0.5
        rows, columns = np.nonzero(pasted)
        box = (rows.max() - rows.min() + 1, columns.max() - columns.min() + 1)
        assert 10 <= box[0] <= 40
        assert 10 <= box[1] <= 40
        sizes.add(box)
        left_half = pasted[:, : (columns.min() + columns.max() + 1) // 2].sum()
        corners.add(left_half > pasted.sum() / 2)
    assert len(sizes) > 10
    assert corners == {True, False}  # flipped, and not


def test_chance_decides_and_the_seed_repeats_it() -> None:
    outcomes = [only_five(0.5)(plain(), np.random.default_rng(seed), read) for seed in range(60)]
    changed = [bool((labels == 5).any()) for _, labels in outcomes]
    assert 18 < sum(changed) < 42
    again = [only_five(0.5)(plain(), np.random.default_rng(seed), read) for seed in range(60)]
    for (image, labels), (image2, labels2) in zip(outcomes, again, strict=True):
        assert np.array_equal(image, image2)
        assert np.array_equal(labels, labels2)


def test_the_photo_pasted_into_is_not_changed_itself() -> None:
    """It may lie in the cache, for every epoch to come."""
    pair = plain()
    only_five()(pair, np.random.default_rng(0), read)
    assert np.array_equal(pair[0], plain()[0])
    assert np.array_equal(pair[1], plain()[1])


def test_an_object_as_large_as_the_photo() -> None:
    whole = (np.full((40, 60, 3), COLOUR, np.uint8), np.full((40, 60), 5, np.uint8))
    for seed in range(10):
        _, labels = only_five()(plain(), np.random.default_rng(seed), lambda number: whole)
        assert (labels == 5).sum() >= 20 * 30 - 60


class Drawn(Sample):
    """A sample whose label map is made here: class 1 but for so many pixels of 2 and 3."""

    def read_label_map(self, size: Size | None = None) -> np.ndarray:
        labels = np.ones(1000, np.uint8)
        two, three = map(int, self.name.split())
        labels[:two] = 2
        labels[two : two + three] = 3
        labels[-5:] = 255
        return labels.reshape(100, 10)


def drawn(dataset: Dataset, *names: str) -> list[Sample]:
    label = dataset.splits["train"][0].label
    return [Drawn(name, Path("none.png"), label) for name in names]


def test_rare_classes_and_the_photos_that_show_them(dataset: Dataset) -> None:
    found = copy_paste_of(drawn(dataset, "0 0", "300 0", "300 10"), 0.5)
    assert found == CopyPaste(0.5, {3: (2,)})


def test_without_a_rare_class_the_rarest_is_taken(dataset: Dataset) -> None:
    assert copy_paste_of(drawn(dataset, "0 0", "300 0"), 1.0).photos_of == {2: (1,)}
    assert copy_paste_of(drawn(dataset, "0 0"), 1.0).photos_of == {1: (0,)}


def test_background_is_never_pasted(tiny: ModuleType, dataset: Dataset) -> None:
    found = copy_paste_of(dataset.splits["train"], 1.0)
    assert found.photos_of
    assert 0 not in found.photos_of
    assert copy_paste_of(dataset.splits["train"], 0.0).photos_of == {}


def test_a_training_sees_pasted_objects_in_their_place(tiny: ModuleType, dataset: Dataset) -> None:
    """More pixels of the rare classes, the same crops each time, other ones in other epochs."""
    still = {"scale_min": 1.0, "scale_max": 1.0, "flip": 0.0, "color_jitter": 0.0}
    photos = dataset.splits["train"]
    before = TrainingSamples(photos, tiny.tiny_recipe(**still))
    after = TrainingSamples(photos, tiny.tiny_recipe(**still, copy_paste=1.0))
    rare = list(copy_paste_of(photos, 1.0).photos_of)

    def pixels(samples: TrainingSamples, epoch: int) -> torch.Tensor:
        return torch.stack([samples[(epoch, number, 1.0)][1] for number in range(len(photos))])

    first = pixels(after, 0)
    assert torch.equal(first, pixels(after, 0))
    assert not torch.equal(first, pixels(after, 1))
    wanted = torch.tensor(rare)
    assert torch.isin(first, wanted).sum() > torch.isin(pixels(before, 0), wanted).sum()
