"""Pictures of other kinds than 8-bit RGB, very large ones, and very few of them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest

from atrous.datasets.detect import open_dataset
from atrous.datasets.version import Dataset
from atrous.deeplab.network import build_network
from atrous.domain.errors import BadDataset
from atrous.domain.geometry import Size
from atrous.training.configure import recipe_for
from atrous.training.loop import train
from atrous.training.network_predictor import NetworkPredictor
from atrous.training.samples import TrainingSamples

NAMES = "Pixel Value, Class\n0, background\n1, thing\n"
Pixels = Callable[[np.random.Generator], np.ndarray]
KINDS: dict[str, Pixels] = {
    "rgba.png": lambda random: random.integers(0, 256, (64, 64, 4)).astype(np.uint8),
    "grey.png": lambda random: random.integers(0, 256, (64, 64)).astype(np.uint8),
    "grey.jpg": lambda random: random.integers(0, 256, (64, 64)).astype(np.uint8),
    "deep_grey.png": lambda random: random.integers(0, 65536, (64, 64)).astype(np.uint16),
    "deep_rgb.png": lambda random: random.integers(0, 65536, (64, 64, 3)).astype(np.uint16),
    "deep_grey.tif": lambda random: random.integers(0, 65536, (64, 64)).astype(np.uint16),
}


def write_set(folder: Path, pictures: dict[str, dict[str, np.ndarray]]) -> Dataset:
    """A data set of these pictures by split, the left half of each labelled `thing`."""
    for split, files in pictures.items():
        (folder / split).mkdir(parents=True)
        (folder / split / "_classes.csv").write_text(NAMES)
        for name, pixels in files.items():
            path = folder / split / name
            assert cv2.imwrite(str(path), pixels)
            mask = np.zeros(pixels.shape[:2], np.uint8)
            mask[:, : mask.shape[1] // 2] = 1
            assert cv2.imwrite(str(path.with_name(f"{path.stem}_mask.png")), mask)
    return open_dataset(folder)


def drawn() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    return {f"{index}_{kind}": draw(random) for index, (kind, draw) in enumerate(KINDS.items())}


def test_a_training_on_all_kinds(tiny: ModuleType, tmp_path: Path) -> None:
    dataset = write_set(tmp_path / "set", {"train": drawn(), "valid": drawn()})
    assert len(dataset.splits["train"]) == len(KINDS)
    assert not dataset.faults
    recipe = recipe_for(dataset, **{**tiny.CHOICES, "epochs": 1, "batch_size": 6})
    run = tiny.new_run(tmp_path / "run", recipe)
    assert train(dataset, recipe, run, lambda _: None).finished
    assert run.results.exists()


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_of_any_kind_is_what_it_shows(tmp_path: Path, kind: str) -> None:
    pixels = KINDS[kind](np.random.default_rng(0))
    dataset = write_set(tmp_path / "set", {"train": {kind: pixels}})
    [sample] = dataset.splits["train"]
    image, labels = sample.read()
    assert image.shape == (64, 64, 3)
    assert labels.sum() == 64 * 32
    shades = (pixels >> 8).astype(int) if pixels.dtype == np.uint16 else pixels.astype(int)
    wanted = shades[:, :, None] if shades.ndim == 2 else shades[:, :, 2::-1]  # OpenCV's are BGR
    lossy = 60 if kind.endswith("jpg") else 1
    assert np.abs(image.astype(int) - wanted).max() <= lossy


def test_a_photo_of_50_megapixels(tiny: ModuleType, tmp_path: Path) -> None:
    """It is trained on at the network's size, which is all that the cache keeps of it."""
    side = Size(5780, 8660)
    photo = np.zeros((side.height, side.width, 3), np.uint8)
    photo[:, : side.width // 2] = 200
    dataset = write_set(tmp_path / "set", {"train": {"large.jpg": photo}})
    dataset = replace(dataset, splits={**dataset.splits, "valid": dataset.splits["train"]})
    recipe = recipe_for(dataset, **tiny.CHOICES)
    assert recipe.preprocess.size == Size(342, 512)
    samples = TrainingSamples(dataset.splits["train"], recipe)
    image, labels = samples[(0, 0, 1.0)]
    assert image.shape == (3, 342, 512)
    assert {0, 1} <= set(np.unique(labels.numpy()).tolist())
    assert (len(samples._cache), samples._cache.photo_bytes) == (1, 4 * 342 * 512)
    network = build_network("deeplabv3plus", tiny.BACKBONE, 2).eval()
    answer = NetworkPredictor(network, recipe)(photo)
    assert answer.label_map.shape == (side.height, side.width)


def test_one_photo_and_one_to_validate(tiny: ModuleType, tmp_path: Path) -> None:
    """A batch of one, in which image pooling has a single value per channel."""
    one = {"a.png": KINDS["rgba.png"](np.random.default_rng(0))}
    dataset = write_set(tmp_path / "set", {"train": one, "valid": one})
    recipe = recipe_for(dataset, **{**tiny.CHOICES, "epochs": 1})
    state = train(dataset, recipe, tiny.new_run(tmp_path / "run", recipe), lambda _: None)
    assert (state.finished, state.step) == (True, 1)


def test_one_photo_alone(tiny: ModuleType, tmp_path: Path) -> None:
    one = {"a.png": KINDS["rgba.png"](np.random.default_rng(0))}
    dataset = write_set(tmp_path / "set", {"train": one})
    with pytest.raises(BadDataset, match="one photo alone can't be .*: add a second"):
        recipe_for(dataset, **tiny.CHOICES)
