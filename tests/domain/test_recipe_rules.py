from dataclasses import replace

import pytest

from atrous.domain.errors import BadInput
from atrous.domain.geometry import Size
from atrous.domain.recipe_rules import BOUNDS, CHOICES, Bounds, checked
from atrous.domain.recipes import PreprocessRecipe, StaticCrop, TrainingRecipe

RECIPE = TrainingRecipe(PreprocessRecipe(Size(64, 64)), crop=Size(64, 64))


def test_sensible_values_pass() -> None:
    assert checked(RECIPE) is RECIPE


@pytest.mark.parametrize(
    ("choice", "value"),
    [
        ("epochs", 0),
        ("batch_size", 0),
        ("accumulation", 0),
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("time_budget_s", 0.0),
        ("workers", -1),
        ("scale_min", 0.0),
        ("scale_min", 2.5),
        ("seed", -1),
        ("momentum", 1.5),
        ("repeat_threshold", 2.0),
        ("gradient_clip", -1.0),
        ("loss_stride", 9),
    ],
)
def test_numbers_that_make_no_sense(choice: str, value: float) -> None:
    with pytest.raises(BadInput, match=f"{choice} is {value}; give "):
        checked(replace(RECIPE, **{choice: value}))


@pytest.mark.parametrize(
    ("choice", "value", "expected"),
    [
        ("optimizer", "lion", "adamw or sgd"),
        ("export_output_stride", 4, "8 or 16"),
        ("norm", "group", "batch, frozen or sync"),
        ("schedule", "linear", "poly or cosine"),
    ],
)
def test_words_that_make_no_sense(choice: str, value: object, expected: str) -> None:
    recipe = replace(RECIPE)
    object.__setattr__(recipe, choice, value)  # the constructor's types are checked in tests alone
    with pytest.raises(BadInput, match=f"{choice} is {value}; give {expected}"):
        checked(recipe)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"accumulation": 9}, "accumulation is 9; give at most batch_size, which is 8"),
        ({"nesterov": True}, "needs optimizer sgd"),
        ({"loss": "huber"}, "no loss 'huber'"),
        ({"class_weights": (1.0, -1.0)}, "class_weights is -1.0; give 0 or more"),
        ({"loss": "rmi", "loss_stride": 8}, "neighbourhoods of 12 pixels, and .* sees has 8"),
        ({"loss": "ce + rmi(radius=7)", "early_share": 0.5, "loss_stride": 2}, "28 .* has 16"),
    ],
)
def test_values_that_make_no_sense_together(fields: dict[str, object], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        checked(replace(RECIPE, **fields))


def test_bounds_are_of_fields_that_exist() -> None:
    recipe = replace(
        RECIPE,
        preprocess=replace(RECIPE.preprocess, static_crop=StaticCrop(0.0, 1.0, 0.0, 1.0)),
    )
    for path in BOUNDS:
        value: object = recipe
        for name in path.split("."):
            assert hasattr(value, name), path
            value = getattr(value, name)
    assert {"optimizer", "norm", "output_stride"} <= set(CHOICES)


@pytest.mark.parametrize(
    ("bounds", "text"),
    [
        (Bounds(least=1), "1 or more"),
        (Bounds(least=0, most=1), "a number from 0 to 1"),
        (Bounds(above=0), "a number above 0"),
        (Bounds(above=0, most=1), "a number above 0, at most 1"),
    ],
)
def test_bounds_say_what_to_give(bounds: Bounds, text: str) -> None:
    assert str(bounds) == text
