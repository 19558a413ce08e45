from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from atrous.datasets.detect import open_dataset
from atrous.datasets.shapes import write_shapes_dataset
from atrous.datasets.version import Dataset
from atrous.domain.errors import BadDataset, BadInput
from atrous.domain.geometry import Size
from atrous.domain.recipes import INCEPTION_MEAN, TrainingRecipe
from atrous.training.configure import (
    ITERATIONS,
    PASSES_AT_MOST,
    SGD_DECAY,
    SGD_RATE,
    input_size,
)
from atrous.training.configure import (
    recipe_for as configure_recipe,
)
from atrous.training.machine import Machine

ROOMY = Machine(2, 10**11)


def recipe_for(dataset: Dataset, **choices: Any) -> TrainingRecipe:
    """The recipe of a set whose classes are equally frequent, on a machine with much memory."""
    pixels = [100] * len(dataset.classes)
    return configure_recipe(dataset, **{"class_pixels": pixels, "machine": ROOMY, **choices})


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
    short = recipe_for(dataset)  # a pass is two iterations
    assert (short.iterations, short.epochs) == (2 * PASSES_AT_MOST, None)
    given = recipe_for(dataset, batch_size=1, epochs=3)
    assert (given.iterations, given.epochs) == (None, 3)
    assert given.reasons["iterations"] == "the epochs end it, of some 8 iterations"
    both = recipe_for(dataset, iterations=7, epochs=3)
    assert (both.iterations, both.epochs) == (7, 3)
    many = Dataset(
        dataset.root, dataset.format, dataset.classes, {"train": dataset.splits["train"] * 60}
    )
    photos = len(many.splits["train"])
    usual = recipe_for(many, batch_size=8)
    assert (usual.iterations, usual.epochs) == (ITERATIONS, None)
    passes = ITERATIONS / (photos // 8)
    assert usual.reasons["iterations"] == f"{passes:.3g} passes over {photos} photos"
    assert recipe_for(many, batch_size=4).iterations == 2 * ITERATIONS
    assert recipe_for(many, batch_size=16).iterations == ITERATIONS


def test_a_time_budget_alone_ends_by_the_clock(dataset: Dataset) -> None:
    recipe = recipe_for(dataset, time_budget_s=60.0)
    assert (recipe.time_budget_s, recipe.iterations, recipe.epochs) == (60.0, None, None)
    assert recipe_for(dataset, time_budget_s=60.0, epochs=5).epochs == 5
    assert recipe_for(dataset, time_budget_s=60.0, iterations=5).iterations == 5


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
        ("iterations", 0),
        ("epochs", 0),
        ("batch_size", 0),
        ("time_budget_s", 0.0),
        ("accumulation", 9),
    ],
)
def test_values_that_make_no_sense(dataset: Dataset, choice: str, value: float) -> None:
    with pytest.raises(BadInput, match=f"{choice} is {value}; give"):
        recipe_for(dataset, **{choice: value})


def test_nothing_to_train_on(dataset: Dataset) -> None:
    empty = Dataset(dataset.root, dataset.format, dataset.classes, {})
    with pytest.raises(BadDataset, match="train split is empty; add photos"):
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


def few(dataset: Dataset, photos: int) -> Dataset:
    """A set of so many training photos, the same ones again where there are too few."""
    samples = (dataset.splits["train"] * (1 + photos // 8))[:photos]
    return Dataset(
        dataset.root, dataset.format, dataset.classes, {**dataset.splits, "train": samples}
    )


def test_every_decision_has_its_reason(dataset: Dataset, tiny: ModuleType) -> None:
    recipe = recipe_for(dataset, backbone=tiny.BACKBONE, epochs=3, loss="ce + dice")
    decided = {
        *("preprocess", "crop", "loss", "class_weights", "learning_rate", "backbone_rate"),
        *("early_share", "loss_stride", "scale_min", "copy_paste", "aligned"),
        *("batch_size", "accumulation", "norm", "norm_share", "workers", "iterations"),
    }
    assert set(recipe.reasons) == {*decided, "backbone", "epochs"}
    for name in ("backbone", "epochs", "loss"):
        assert recipe.reasons[name] == "given"
    assert recipe.aligned
    plain = recipe_for(dataset, backbone=tiny.BACKBONE, architecture="deeplabv3")
    assert not plain.aligned
    assert "2 cores, 100.0 GB free" in recipe.reasons["accumulation"]
    assert recipe.to_json()["reasons"] == recipe.reasons


@pytest.mark.parametrize(
    ("choices", "name", "why"),
    [
        ({"loss": "dice", "label_smoothing": 0.1}, "label_smoothing", "loss dice takes labels"),
        ({"loss": "lovasz", "class_weights": (1.0,) * 4}, "class_weights", "no pixel weighs"),
        ({"momentum": 0.5}, "momentum", "optimizer adamw has its own"),
        ({"schedule": "cosine", "poly_power": 2.0}, "poly_power", "schedule cosine has none"),
    ],
)
def test_what_is_given_without_effect_is_told(
    dataset: Dataset, choices: dict[str, Any], name: str, why: str
) -> None:
    assert recipe_for(dataset, **choices).reasons[name].startswith(f"given, without effect: {why}")


def test_what_is_given_with_effect_is_not(dataset: Dataset) -> None:
    choices = {"label_smoothing": 0.1, "poly_power": 2.0, "optimizer": "sgd", "momentum": 0.5}
    reasons = recipe_for(dataset, loss="dice + 0.5*ohem", **choices).reasons
    assert {reasons[name] for name in choices} == {"given"}


def test_no_class_weighs_more_in_a_loss_that_has_no_weights(dataset: Dataset) -> None:
    pixels = (1000, 0, 5, 1000)
    assert recipe_for(dataset, class_pixels=pixels).class_weights is not None
    recipe = recipe_for(dataset, class_pixels=pixels, loss="dice")
    assert recipe.class_weights is None
    assert recipe.reasons["class_weights"] == "none: no pixel weighs more in loss dice"


def test_short_memory_parts_the_batch(dataset: Dataset, tiny: ModuleType) -> None:
    parts = {}
    for megabytes in (2000, 60, 1):
        machine = Machine(2, megabytes * 10**6)
        recipe = recipe_for(dataset, machine=machine, backbone=tiny.BACKBONE, batch_size=8)
        parts[megabytes] = (recipe.batch_size, recipe.accumulation)
    assert parts[2000] == (8, 1)
    assert parts[60][1] in (2, 4)
    assert parts[1] == (8, 8)
    kept = recipe_for(dataset, machine=Machine(2, 1), backbone=tiny.BACKBONE, accumulation=2)
    assert kept.accumulation == 2


def test_tiny_batches_freeze_the_norms(dataset: Dataset, tiny: ModuleType) -> None:
    choices = {"backbone": tiny.BACKBONE}
    assert recipe_for(dataset, **choices).norm == "batch"
    tiny_batch = recipe_for(dataset, batch_size=2, **choices)
    assert (tiny_batch.norm, tiny_batch.reasons["norm"]) == (
        "frozen",
        "2 photos at once are too few for statistics",
    )
    assert recipe_for(dataset, batch_size=8, accumulation=4, **choices).norm == "frozen"
    assert recipe_for(dataset, batch_size=2, pretrained=False, **choices).norm == "batch"
    assert recipe_for(dataset, batch_size=2, norm="batch", **choices).norm == "batch"


def test_norms_of_small_batches_settle(dataset: Dataset, tiny: ModuleType) -> None:
    choices = {"backbone": tiny.BACKBONE}
    small = recipe_for(dataset, batch_size=4, **choices)
    assert small.norm_share == 0.9
    assert "which 4 photos at once make noise of" in small.reasons["norm_share"]
    assert recipe_for(dataset, batch_size=8, **choices).norm_share == 1.0
    assert recipe_for(dataset, batch_size=8, accumulation=2, **choices).norm_share == 0.9
    assert recipe_for(dataset, batch_size=4, norm_share=0.5, **choices).norm_share == 0.5


def test_few_photos_are_one_batch(dataset: Dataset, tiny: ModuleType) -> None:
    recipe = recipe_for(few(dataset, 3), backbone=tiny.BACKBONE)
    assert (recipe.batch_size, recipe.norm) == (3, "frozen")
    assert recipe_for(few(dataset, 1), backbone=tiny.BACKBONE).batch_size == 1


def test_a_gpu_has_larger_batches_and_helpers(dataset: Dataset, tiny: ModuleType) -> None:
    machine = Machine(6, 10**11, "Card 8")
    recipe = recipe_for(few(dataset, 160), machine=machine, backbone=tiny.BACKBONE)
    assert (recipe.batch_size, recipe.workers, recipe.iterations) == (16, 5, 1500)
    recipe = recipe_for(few(dataset, 159), machine=machine, backbone=tiny.BACKBONE)
    assert recipe.batch_size == 8


def test_without_a_gpu_steps_are_cheap(tmp_path: Path, tiny: ModuleType) -> None:
    large = shaped(tmp_path, 256, 300)
    recipe = recipe_for(large, backbone=tiny.BACKBONE)
    assert (recipe.early_share, recipe.loss_stride, recipe.backbone_rate) == (0.6, 2, 1.0)
    assert recipe_for(large, backbone=tiny.BACKBONE, early_share=0.2).early_share == 0.2
    shrinking = recipe_for(large, backbone=tiny.BACKBONE, scale_max=0.6)
    assert (shrinking.scale_min, shrinking.scale_max) == (0.6, 0.6)
    small = recipe_for(large, backbone=tiny.BACKBONE, crop=Size(255, 300))
    assert (small.early_share, small.loss_stride) == (0.0, 2)
    assert recipe_for(large, backbone=tiny.BACKBONE, optimizer="sgd").backbone_rate == 0.25
    fast = recipe_for(large, machine=Machine(6, 10**11, "Card 8"), backbone=tiny.BACKBONE)
    assert (fast.early_share, fast.loss_stride, fast.backbone_rate) == (0.0, 1, 0.25)


def test_sgd_has_its_own_rate(dataset: Dataset, tiny: ModuleType) -> None:
    recipe = recipe_for(dataset, optimizer="sgd", backbone=tiny.BACKBONE)
    assert (recipe.learning_rate, recipe.weight_decay) == (SGD_RATE, SGD_DECAY)
    given = recipe_for(dataset, optimizer="sgd", learning_rate=0.5, backbone=tiny.BACKBONE)
    assert given.learning_rate == 0.5


def test_some_fields_of_the_preprocessing(dataset: Dataset, tiny: ModuleType) -> None:
    size = Size(96, 64)
    recipe = recipe_for(
        dataset, backbone=tiny.BACKBONE, preprocess={"size": size, "padding_value": 9}
    )
    assert recipe.preprocess.size == recipe.crop == size
    assert recipe.preprocess.padding_value == 9
    assert recipe.preprocess.resize_mode == "stretch"


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        ([0, 7, 0, 0], "one class alone, circle: there is nothing to tell apart. Label a second"),
        ([0, 0, 0, 0], "no class at all"),
    ],
)
def test_nothing_to_tell_apart(dataset: Dataset, pixels: list[int], message: str) -> None:
    with pytest.raises(BadDataset, match=message):
        configure_recipe(dataset, class_pixels=pixels)


def test_a_class_that_is_never_seen(
    dataset: Dataset, tiny: ModuleType, caplog: pytest.LogCaptureFixture
) -> None:
    recipe = recipe_for(
        dataset, class_pixels=[90, 10, 5, 0], backbone=tiny.BACKBONE, balancing="enet"
    )
    assert recipe.class_weights is not None
    assert recipe.class_weights[3] == 1
    assert "triangle is never seen in training and won't be learnt: add photos" in caplog.text


def test_steps_of_an_augmentation_that_do_nothing(
    dataset: Dataset, tiny: ModuleType, caplog: pytest.LogCaptureFixture
) -> None:
    steps = '{"bbblur": {"pixels": 2}, "mosaic": true, "image": {"versions": 3}}'
    recipe = recipe_for(dataset, backbone=tiny.BACKBONE, augmentation=steps)
    assert recipe.augmentation == steps
    warned = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert [message.split("'")[1] for message in warned] == ["bbblur", "image"]


def test_class_weights_of_another_set(dataset: Dataset, tiny: ModuleType) -> None:
    with pytest.raises(BadInput, match="class_weights has 2 numbers; give 4, one per class: back"):
        recipe_for(dataset, backbone=tiny.BACKBONE, class_weights=(1.0, 2.0))


def test_several_gpus_share_a_batch(dataset: Dataset, tiny: ModuleType) -> None:
    """Each gets four photos of it, whose statistics are shared; one GPU is as before."""
    large = replace(dataset, splits={"train": dataset.splits["train"] * 30})
    choices: dict[str, Any] = {"backbone": tiny.BACKBONE}
    three = recipe_for(large, machine=Machine(9, 10**11, "Card 8", gpus=3), **choices)
    assert (three.batch_size, three.devices, three.norm, three.workers) == (16, 3, "sync", 2)
    machine = Machine(32, 10**11, "Card 8", gpus=8)
    eight = recipe_for(large, machine=machine, **choices)
    assert (eight.devices, eight.tf32, eight.compile) == (4, True, False)
    assert "of 8 GPUs" in eight.reasons["devices"]
    one = recipe_for(large, machine=Machine(6, 10**11, "Card 8"), **choices)
    assert (one.devices, one.norm) == (1, "batch")
    with pytest.raises(BadInput, match="devices is 9; this machine has GPUs for at most 8"):
        recipe_for(large, machine=machine, devices=9, batch_size=16, **choices)
    with pytest.raises(BadInput, match="devices is 9; give at most batch_size, which is 8"):
        recipe_for(large, devices=9, batch_size=8, **choices)
