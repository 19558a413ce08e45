import json
from dataclasses import replace

import pytest

from atrous.domain.errors import BadInput
from atrous.domain.geometry import Size
from atrous.domain.recipes import (
    PreprocessRecipe,
    StaticCrop,
    TrainingRecipe,
    preprocess_from_json,
)

PLAIN = TrainingRecipe(PreprocessRecipe(Size(480, 640)), crop=Size(320, 448))
ODD = replace(
    PLAIN,
    preprocess=PreprocessRecipe(
        Size(512, 512),
        resize_mode="letterbox",
        contrast="Contrast Stretching",
        static_crop=StaticCrop(10.0, 90.0, 0.0, 50.5),
        color_mode="bgr",
        mean=(0.1, 0.2, 0.3),
    ),
    architecture="deeplabv3",
    class_weights=(1.0, 2.5),
    time_budget_s=90.5,
    pretrained=False,
)


@pytest.mark.parametrize("recipe", [PLAIN, ODD], ids=["plain", "odd"])
def test_recipes_survive_json(recipe: TrainingRecipe) -> None:
    assert TrainingRecipe.from_json(json.loads(json.dumps(recipe.to_json()))) == recipe


def test_an_unknown_key_is_named() -> None:
    with pytest.raises(BadInput, match=r"\['epocs'\].*'epochs'"):
        TrainingRecipe.from_json({**PLAIN.to_json(), "epocs": 3})


def test_an_older_recipe_gets_the_defaults() -> None:
    values = {"preprocess": {"size": {"height": 8, "width": 9}}, "crop": {"height": 8, "width": 9}}
    recipe = TrainingRecipe.from_json(values)
    assert recipe.preprocess == PreprocessRecipe(Size(8, 9))
    assert recipe.batch_size == TrainingRecipe.batch_size


def test_the_exported_network_may_see_a_larger_photo() -> None:
    assert PLAIN.export_preprocess == PLAIN.preprocess
    larger = replace(ODD, export_side=700)
    assert larger.export_preprocess == replace(ODD.preprocess, size=Size(704, 704))
    wide = replace(PLAIN, preprocess=PreprocessRecipe(Size(30, 640)), export_side=320)
    assert wide.export_preprocess.size == Size(16, 320)


def test_preprocessing_alone() -> None:
    values = json.loads(json.dumps(ODD.to_json()["preprocess"]))
    assert preprocess_from_json(values) == ODD.preprocess


def test_what_is_passed_on_has_no_path() -> None:
    recipe = replace(PLAIN, start="/home/alice/client/best.safetensors")
    assert recipe.to_json()["start"] == "/home/alice/client/best.safetensors"
    assert recipe.to_shown_json() == {**recipe.to_json(), "start": "best.safetensors"}
    assert PLAIN.to_shown_json() == PLAIN.to_json()
