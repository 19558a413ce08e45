import pytest

from atrous.domain.errors import BadRequest
from atrous.domain.recipes import TrainingRecipe
from atrous.server.platform.training_recipes import (
    CHOSEN,
    PARAMETERS,
    describe_recipe,
    read_architecture,
    read_recipe,
    read_wishes,
)


def test_every_hyperparameter_is_one_of_a_recipe() -> None:
    assert set(PARAMETERS) <= set(TrainingRecipe.__dataclass_fields__)


def test_the_template_is_a_recipe() -> None:
    described = describe_recipe("deeplabv3plus")
    given = read_recipe(described["template"])
    assert given["flip"] == TrainingRecipe.flip
    assert not set(CHOSEN) & set(given)  # chosen for the data set and the machine
    assert set(described["schema"]["hyperparameters"]) == set(PARAMETERS)


def test_wishes_are_read() -> None:
    body = {
        "modelType": "deeplabv3plus-sem",
        "epochs": 1,
        "speed": "fast",
        "checkpoint": "roads/1",
        "trainRecipe": {"hyperparameters": {"backbone": "resnet50", "seed": None}},
    }
    architecture, settings = read_wishes(body)
    assert architecture == "deeplabv3plus"
    assert settings == {
        "architecture": "deeplabv3plus",
        "epochs": 1,
        "backbone": "resnet50",
        "checkpoint": "roads/1",
    }
    assert "checkpoint" not in read_wishes({"checkpoint": "coco"})[1]


def test_the_model_type_of_a_template_counts_where_the_body_has_none() -> None:
    template = describe_recipe("deeplabv3")["template"]
    assert read_wishes({"trainRecipe": template})[0] == "deeplabv3"
    assert read_wishes({"trainRecipe": template, "modelType": "deeplabv3plus"})[0] == (
        "deeplabv3plus"
    )


@pytest.mark.parametrize("epochs", [0, -1, 100_001, 1.5, True, "3"])
def test_epochs_that_can_not_be_trained(epochs) -> None:
    with pytest.raises(BadRequest, match="send a number from 1 to 100000"):
        read_wishes({"epochs": epochs})


def test_hyperparameters_beside_their_object_are_named() -> None:
    with pytest.raises(BadRequest, match=r"unknown keys \['epochs'\]; it takes 'hyperparameters'"):
        read_wishes({"trainRecipe": {"epochs": 0}})
    empty = {"hyperparameters": {"epochs": 2}, "online_augmentation": {}, "seed": None}
    assert read_wishes({"trainRecipe": empty})[1]["epochs"] == 2
    with pytest.raises(BadRequest, match="online_augmentation"):
        read_recipe({"hyperparameters": {}, "online_augmentation": {"flip": 1}})


@pytest.mark.parametrize(
    "recipe",
    [
        [],
        "x",
        {"hyperparameters": 1},
        {"hyperparameters": {"start": "/etc/passwd"}},
        {"hyperparameters": {"flip": 2}},
        {"hyperparameters": {"flip": True}},
        {"hyperparameters": {"batch_size": 1.5}},
        {"hyperparameters": {"backbone": "../x"}},
        {"hyperparameters": {"learning_rate": float("nan")}},
    ],
)
def test_what_is_no_recipe_is_refused(recipe) -> None:
    with pytest.raises(BadRequest):
        read_recipe(recipe)


def test_other_model_types_are_refused() -> None:
    with pytest.raises(BadRequest, match="deeplabv3plus"):
        read_architecture("yolov8")
