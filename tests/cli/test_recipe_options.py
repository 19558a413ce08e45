from dataclasses import fields

import pytest
import typer

from atrous.cli.recipe_options import ELSEWHERE, IN_A_FILE, read_settings
from atrous.domain.recipes import TrainingRecipe


def test_bounds_are_wrong_usage(atrous, tmp_path) -> None:
    for option, value in (
        ("--epochs", "0"),
        ("--batch-size", "0"),
        ("--size", "16"),
        ("--seed", "-1"),
        ("--precision", "fp64"),
        ("--architecture", "unet"),
        ("--time-budget", "20 minutes"),
        ("--class-weights", "heavy"),
        ("--set", "scale_min"),
        ("--set", "scale_minimum=1"),
        ("--set", "class_weights=1"),
        ("--set", "scale_min=small"),
        ("--set", "separable=yes"),
    ):
        assert atrous("train", tmp_path, "--as", "cats", option, value)[0] == 2, option


def test_settings_have_the_type_of_their_field() -> None:
    assert read_settings(["separable=False", "flip=1", "batch_size=3", "optimizer=sgd"]) == {
        "separable": False,
        "flip": 1.0,
        "batch_size": 3,
        "optimizer": "sgd",
    }
    assert read_settings(["flip=0", "flip=0.5"]) == {"flip": 0.5}


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("iterations=5", "iterations has an option of its own: --iterations 5"),
        ("time_budget_s=60", "time_budget_s has an option of its own: --time-budget 60s"),
        ("export_side=640", "--export-size 640"),
        ("class_weights=1,2", "--class-weights balanced, or numbers by class in a file of --rec"),
        ("crop=64", "crop has several parts; use --size, or a file of --recipe"),
        ("scale_minimum=1", "is not NAME=VALUE with one of accumulation, "),
    ],
)
def test_fields_with_an_option_of_their_own(setting: str, said: str) -> None:
    with pytest.raises(typer.BadParameter, match=said):
        read_settings([setting])


def test_every_field_can_be_given_somewhere() -> None:
    plain = (bool, int, float, str)
    others = {each.name for each in fields(TrainingRecipe) if not isinstance(each.default, plain)}
    assert others == {*ELSEWHERE, *IN_A_FILE, "reasons"}
