import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from atrous.domain.errors import BadInput
from atrous.domain.geometry import Size
from atrous.domain.recipe_schema import read_recipe_file, recipe_schema
from atrous.domain.recipes import PreprocessRecipe, StaticCrop, TrainingRecipe

WHOLE = TrainingRecipe(
    PreprocessRecipe(
        Size(64, 96), contrast="Contrast Stretching", static_crop=StaticCrop(0.0, 50.0, 0.0, 90.5)
    ),
    crop=Size(64, 64),
    class_weights=(1.0, 2.5),
    time_budget_s=60.0,
    loss="ce + 0.5*lovasz",
    reasons={"crop": "given"},
)

GOOD: list[dict[str, Any]] = [
    {},
    {"epochs": 3, "iterations": None, "learning_rate": 1, "time_budget_s": None},
    {"preprocess": {"padding_value": 3}, "class_weights": [1, 2.5]},
    {"crop": {"height": 64, "width": 32}, "norm": "frozen", "flip": 0},
]
BAD: list[tuple[Any, str]] = [
    ([], "the whole is []; give an object of fields"),
    ({"epocs": 3}, "epocs is no field; known are "),
    ({"preprocess": {"side": 3}}, "preprocess.side is no field"),
    ({"crop": {"height": 64}}, "crop.width is missing; give height, width"),
    ({"batch_size": "3"}, 'batch_size is "3"; give a whole number'),
    ({"batch_size": 3.5}, "batch_size is 3.5; give a whole number"),
    ({"batch_size": True}, "batch_size is true; give a whole number"),
    ({"batch_size": 0}, "batch_size is 0; give 1 or more"),
    ({"batch_size": None}, "batch_size is null; give a whole number"),
    ({"iterations": 0}, "iterations is 0; give 1 or more"),
    ({"iterations": 3.5}, "iterations is 3.5; give a whole number"),
    ({"flip": 1.5}, "flip is 1.5; give a number from 0 to 1"),
    ({"pretrained": 1}, "pretrained is 1; give true or false"),
    ({"norm": "group"}, 'norm is "group"; give one of batch, frozen, sync'),
    ({"output_stride": 32}, "output_stride is 32; give one of 8, 16"),
    ({"loss": 3}, "loss is 3; give a text"),
    ({"class_weights": 1.0}, "class_weights is 1.0; give a list of any numbers"),
    ({"class_weights": [1, "2"]}, 'class_weights is "2"; give a number'),
    ({"class_weights": [-1]}, "class_weights is -1; give 0 or more"),
    ({"preprocess": {"mean": [0, 0]}}, "preprocess.mean is [0, 0]; give a list of 3 numbers"),
    ({"preprocess": {"std": [1, 0, 1]}}, "preprocess.std is 0; give a number above 0"),
    ({"preprocess": {"size": {"height": 8, "width": 64}}}, "preprocess.size.height is 8; give 32"),
    ({"reasons": ["x"]}, 'reasons is ["x"]; give an object of texts'),
]


def written(folder: Path, values: Any) -> Path:
    path = folder / "recipe.json"
    path.write_text(json.dumps(values))
    return path


@pytest.mark.parametrize("values", GOOD)
def test_a_file_gives_some_fields(tmp_path: Path, values: dict[str, Any]) -> None:
    read = read_recipe_file(written(tmp_path, values))
    assert set(read) == set(values)


def test_a_run_s_recipe_is_read_whole(tmp_path: Path) -> None:
    read = read_recipe_file(written(tmp_path, WHOLE.to_json()))
    assert "reasons" not in read  # they were another decision's
    preprocess = PreprocessRecipe(**read.pop("preprocess"))
    assert TrainingRecipe(preprocess=preprocess, **read) == replace(WHOLE, reasons={})


@pytest.mark.parametrize(("values", "message"), BAD)
def test_what_is_wrong_is_named(tmp_path: Path, values: Any, message: str) -> None:
    path = written(tmp_path, values)
    with pytest.raises(BadInput) as refused:
        read_recipe_file(path)
    assert str(refused.value).startswith(f"recipe {path}: {message}")


def test_files_that_can_not_be_read(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="can't be read: No such file"):
        read_recipe_file(tmp_path / "nowhere.json")
    (tmp_path / "recipe.json").write_text("epochs: 3")
    with pytest.raises(BadInput, match="is no JSON: .*atrous recipe schema"):
        read_recipe_file(tmp_path / "recipe.json")
    with pytest.raises(BadInput, match="flip is NaN; give a number"):
        read_recipe_file(written(tmp_path, {"flip": float("nan")}))


def test_the_schema_takes_and_refuses_the_same() -> None:
    validator = pytest.importorskip("jsonschema_rs").Draft202012Validator(recipe_schema())
    for values in (*GOOD, WHOLE.to_json()):
        plain = json.loads(json.dumps(values))
        assert validator.is_valid(plain), plain
    for values, _ in BAD:
        assert not validator.is_valid(values), values


def test_the_schema_has_every_field_and_default() -> None:
    properties = recipe_schema()["properties"]
    assert set(properties) == set(WHOLE.to_json())
    assert properties["batch_size"] == {"type": "integer", "minimum": 1, "default": 8}
    assert properties["optimizer"] == {"enum": ["adamw", "sgd"], "default": "adamw"}
    assert properties["flip"] == {"type": "number", "minimum": 0, "maximum": 1, "default": 0.5}
