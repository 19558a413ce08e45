"""From a data set to a recipe: input size and length of training where nobody chose them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from atrous.datasets.version import Dataset
from atrous.deeplab.starting_point import network_of_checkpoint
from atrous.deeplab.weights import normalization
from atrous.domain.errors import BadInput
from atrous.domain.geometry import Size
from atrous.domain.recipes import MAX_SIDE, PreprocessRecipe, ResizeMode, TrainingRecipe
from atrous.images.decode import image_size
from atrous.training.class_weights import class_weights

LOOKED_AT = 500  # photos whose size is read
STEPS = 1500  # of the optimizer, where neither epochs nor a time budget are given
EPOCHS_AT_MOST = 150  # where STEPS would be more: a tiny set learns nothing from more
AUXILIARY_WEIGHT = 0.5  # as torchvision trained its published weights
UNLIMITED_EPOCHS = 100_000  # with a time budget alone


def recipe_for(
    dataset: Dataset,
    *,
    class_pixels: Sequence[int] = (),
    max_side: int = MAX_SIDE,
    balancing: str = "auto",
    **choices: Any,
) -> TrainingRecipe:
    """A recipe for this data set; `choices` are fields of TrainingRecipe that the user fixed.

    class_pixels: labelled pixels of every class id in the training split; none where they were not
        counted, and all classes weigh the same.
    balancing: how the loss weighs classes by them, see `class_weights`.
    """
    given = {key: value for key, value in choices.items() if value is not None}
    if "start" in given:
        given = {**network_choices(Path(given["start"])), **given}
    backbone = given.get("backbone", TrainingRecipe.backbone)
    size, mode = input_size(dataset, max_side)
    mean, std = normalization(backbone)
    recipe = TrainingRecipe(
        preprocess=PreprocessRecipe(size=size, resize_mode=mode, mean=mean, std=std),
        crop=size,
        class_weights=class_weights(class_pixels, balancing),
    )
    recipe = checked(replace(recipe, **given))
    if "epochs" in given:
        return recipe
    photos = len(dataset.splits.get("train", ()))
    steps_in_epoch = max(1, photos // recipe.batch_size)
    epochs = min(EPOCHS_AT_MOST, max(1, round(STEPS / steps_in_epoch)))
    return replace(recipe, epochs=UNLIMITED_EPOCHS if recipe.time_budget_s else epochs)


def network_choices(start: Path) -> dict[str, Any]:
    """The fields of a recipe that a checkpoint to start from decides; BadInput if unreadable."""
    config = network_of_checkpoint(start)
    if config is None:
        return {}
    return {
        "architecture": config.architecture,
        "backbone": config.backbone,
        "separable": config.separable,
        "auxiliary_weight": AUXILIARY_WEIGHT if config.auxiliary else 0.0,
    }


def input_size(dataset: Dataset, max_side: int) -> tuple[Size, ResizeMode]:
    """The network's input for a set's photos, and how they are brought to it.

    Photos of one size keep their shape, at their own size or with the longer side at `max_side`.
    Photos of several sizes are letterboxed into a square that most fit without being shrunk.
    """
    samples = dataset.splits.get("train", ())[:LOOKED_AT]
    if not samples:
        raise BadInput(f"{dataset.root} has no photos to train on")
    sizes = Counter(image_size(sample.image) for sample in samples)
    if len(sizes) == 1:
        only = next(iter(sizes))
        scale = min(1.0, max_side / max(only.height, only.width))
        return Size(
            max(32, round(only.height * scale)), max(32, round(only.width * scale))
        ), "stretch"
    sides = sorted(max(size.height, size.width) for size in sizes.elements())
    most = sides[int(0.9 * (len(sides) - 1))]
    side = min(max_side, -(-most // 16) * 16)
    return Size(side, side), "letterbox"


def checked(recipe: TrainingRecipe) -> TrainingRecipe:
    """Give the recipe back, or raise BadInput for values that make no sense."""
    rules = {
        "epochs": (recipe.epochs >= 1, "1 or more"),
        "batch_size": (recipe.batch_size >= 1, "1 or more"),
        "learning_rate": (recipe.learning_rate > 0, "a number above 0"),
        "time_budget_s": (
            recipe.time_budget_s is None or recipe.time_budget_s > 0,
            "a number of seconds above 0",
        ),
        "optimizer": (recipe.optimizer in ("adamw", "sgd"), "adamw or sgd"),
        "scale_min": (
            0 < recipe.scale_min <= recipe.scale_max,
            f"a number above 0, at most scale_max, which is {recipe.scale_max}",
        ),
        "export_output_stride": (recipe.export_output_stride in (8, 16), "8 or 16"),
        "workers": (recipe.workers >= 0, "0 or more"),
        "seed": (recipe.seed >= 0, "0 or more"),
    }
    for name, (holds, expected) in rules.items():
        if not holds:
            raise BadInput(f"{name} is {getattr(recipe, name)}; give {expected}")
    return recipe
