from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from atrous.datasets.detect import open_dataset
from atrous.datasets.shapes import write_shapes_dataset
from atrous.datasets.version import Dataset
from atrous.domain.errors import BadInput
from atrous.domain.geometry import Size
from atrous.domain.recipes import INCEPTION_MEAN, TrainingRecipe
from atrous.training.configure import (
    EPOCHS_AT_MOST,
    STEPS,
    UNLIMITED_EPOCHS,
    checked,
    input_size,
)
from atrous.training.configure import (
    recipe_for as configure_recipe,
)


def recipe_for(dataset: Dataset, **choices: Any) -> TrainingRecipe:
    """The recipe of a set whose classes are equally frequent."""
    return configure_recipe(dataset, class_pixels=[100] * len(dataset.classes), **choices)


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """A set whose pictures are of several sizes, sides 160 to 192."""
    folder = tmp_path_factory.mktemp("several") / "set"
    return open_dataset(write_shapes_dataset(folder, images={"train": 6, "valid": 1}))


def shaped(tmp_path: Path, height: int, width: int) -> Dataset:
    images = {"train": 2, "valid": 1}
    return open_dataset(
        write_shapes_dataset(tmp_path / "set", images=images, size=Size(height, width))
    )


def test_one_size_keeps_its_shape(dataset: Dataset) -> None:
    recipe = recipe_for(dataset)
    assert recipe.preprocess.size == recipe.crop == Size(64, 64)
    assert recipe.preprocess.resize_mode == "stretch"


@pytest.mark.parametrize(
    ("photo", "max_side", "expected"),
    [
        ((60, 90), 512, Size(60, 90)),
        ((60, 120), 60, Size(32, 60)),  # no side below 32
        ((120, 60), 100, Size(100, 50)),
    ],
)
def test_one_large_size_is_shrunk(
    tmp_path: Path, photo: tuple[int, int], max_side: int, expected: Size
) -> None:
    assert input_size(shaped(tmp_path, *photo), max_side) == (expected, "stretch")


def test_several_sizes_are_letterboxed(several: Dataset) -> None:
    sizes = {sample.read_image().shape[:2] for sample in several.splits["train"]}
    assert len(sizes) > 1
    size, mode = input_size(several, 512)
    assert mode == "letterbox"
    assert size.height == size.width
    assert size.height % 16 == 0
    assert 160 <= size.height <= 192
    assert input_size(several, 100) == (Size(100, 100), "letterbox")


def test_length_of_a_training(dataset: Dataset) -> None:
    assert recipe_for(dataset).epochs == EPOCHS_AT_MOST  # of one step each
    assert recipe_for(dataset, batch_size=1, epochs=3).epochs == 3
    many = Dataset(
        dataset.root, dataset.format, dataset.classes, {"train": dataset.splits["train"] * 60}
    )
    assert recipe_for(many).epochs == STEPS // 60
    assert recipe_for(many, batch_size=16).epochs == STEPS // 30


def test_a_time_budget_alone_ends_by_the_clock(dataset: Dataset) -> None:
    recipe = recipe_for(dataset, time_budget_s=60.0)
    assert (recipe.time_budget_s, recipe.epochs) == (60.0, UNLIMITED_EPOCHS)
    assert recipe_for(dataset, time_budget_s=60.0, epochs=5).epochs == 5


def test_choices_of_the_user(dataset: Dataset) -> None:
    recipe = recipe_for(dataset, backbone="resnet18", learning_rate=None, seed=4)
    assert recipe.backbone == "resnet18"
    assert recipe.seed == 4
    assert recipe.learning_rate == type(recipe).learning_rate


def test_photos_are_normalised_as_the_weights_want_them(dataset: Dataset) -> None:
    assert recipe_for(dataset).preprocess.mean == INCEPTION_MEAN  # tf_efficientnet_lite0
    mean = recipe_for(dataset, backbone="resnet18").preprocess.mean
    assert mean == pytest.approx((0.485, 0.456, 0.406))


@pytest.mark.parametrize(
    ("choice", "value"),
    [
        ("epochs", 0),
        ("batch_size", 0),
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("time_budget_s", 0.0),
        ("workers", -1),
        ("scale_min", 0.0),
        ("scale_min", 2.5),
        ("seed", -1),
    ],
)
def test_values_that_make_no_sense(dataset: Dataset, choice: str, value: float) -> None:
    with pytest.raises(BadInput, match=f"{choice} is {value}"):
        recipe_for(dataset, **{choice: value})


@pytest.mark.parametrize(("choice", "value"), [("optimizer", "lion"), ("export_output_stride", 4)])
def test_words_that_make_no_sense(tiny: ModuleType, choice: str, value: object) -> None:
    recipe = tiny.tiny_recipe()
    object.__setattr__(recipe, choice, value)  # the constructor's types are checked in tests alone
    with pytest.raises(BadInput, match=f"{choice} is {value}"):
        checked(recipe)


def test_sensible_values_pass(tiny: ModuleType) -> None:
    recipe = tiny.tiny_recipe(workers=0, seed=0)
    assert checked(recipe) is recipe


def test_nothing_to_train_on(dataset: Dataset) -> None:
    empty = Dataset(dataset.root, dataset.format, dataset.classes, {})
    with pytest.raises(BadInput, match="no photos"):
        recipe_for(empty)


def test_rare_classes_weigh_more(dataset: Dataset) -> None:
    pixels = [1000, 900, 10, 800][: len(dataset.classes)]
    weights = configure_recipe(dataset, class_pixels=pixels).class_weights
    assert weights is not None
    assert weights.index(max(weights)) == 2
    assert configure_recipe(dataset, class_pixels=pixels, balancing="none").class_weights is None


def test_an_unknown_backbone(dataset: Dataset) -> None:
    with pytest.raises(BadInput, match="resnet5000"):
        recipe_for(dataset, backbone="resnet5000")
