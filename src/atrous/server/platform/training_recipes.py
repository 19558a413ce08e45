"""What a client may wish of a training: its architecture, its start, and its hyperparameters."""

from dataclasses import dataclass, fields
from typing import Any

from atrous.domain.errors import BadRequest
from atrous.domain.recipes import TrainingRecipe
from atrous.server.platform.access import number_field
from atrous.server.platform.training_descriptions import REPORTED_ENDING

# What clients may ask for, and the architecture that it is.
MODEL_TYPES = {
    "": "deeplabv3plus",
    "deeplabv3plus": "deeplabv3plus",
    "deep-lab-v3-plus": "deeplabv3plus",
    "deeplabv3": "deeplabv3",
}
MAX_EPOCHS, MAX_ITERATIONS = 100_000, 10_000_000
PUBLIC_STARTS = ("coco", "imagenet")  # names for what every training starts from: its backbone


@dataclass(frozen=True)
class Parameter:
    """A hyperparameter that a recipe may set: a whole number, a number, or a text."""

    kind: type
    least: float = 0.0
    most: float = 1.0


RECIPE_KEYS = ("modelType", "hyperparameters")  # as the template has them
PARAMETERS = {
    "iterations": Parameter(int, 1.0, float(MAX_ITERATIONS)),
    "epochs": Parameter(int, 1.0, float(MAX_EPOCHS)),
    "batch_size": Parameter(int, 1.0, 1024.0),
    "learning_rate": Parameter(float, 1e-9, 10.0),
    "backbone_rate": Parameter(float, 0.0, 10.0),
    "weight_decay": Parameter(float),
    "warmup_share": Parameter(float),
    "label_smoothing": Parameter(float),
    "ema_decay": Parameter(float),
    "scale_min": Parameter(float, 0.05, 10.0),
    "scale_max": Parameter(float, 0.05, 10.0),
    "flip": Parameter(float),
    "color_jitter": Parameter(float),
    "seed": Parameter(int, 0.0, 2.0**31 - 1),
    "time_budget_s": Parameter(float, 1.0, 1e7),
    "backbone": Parameter(str),
}

# Of these, the ones that are decided from the data set and the machine where nobody gives them: a
# template that named their plain defaults would be a worse recipe than none.
CHOSEN = {
    *("iterations", "batch_size", "learning_rate", "backbone_rate", "weight_decay", "scale_min")
}


def read_wishes(body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The architecture, and the fields of a training's recipe; `speed` is not looked at.

    `checkpoint`, the id of a model to start from, comes along under its own name.
    """
    recipe = body.get("trainRecipe") or body.get("train_recipe")
    architecture = read_architecture(_model_type(body, recipe))
    settings: dict[str, Any] = {"architecture": architecture}
    if body.get("epochs") is not None:
        settings["epochs"] = number_field(body, "epochs", 1, MAX_EPOCHS, least=1)
    if recipe is not None:
        settings.update(read_recipe(recipe))
    checkpoint = body.get("checkpoint")
    if checkpoint and str(checkpoint).lower() not in PUBLIC_STARTS:
        settings["checkpoint"] = str(checkpoint)[:200]
    return architecture, settings


def _model_type(body: dict[str, Any], recipe: Any) -> str:
    """The model type of the body, else of the recipe: a template comes with that it is for."""
    asked = body.get("modelType") or body.get("model_type")
    return str(asked or (recipe.get("modelType") if isinstance(recipe, dict) else "") or "")


def read_architecture(asked: str) -> str:
    """The architecture of a model type, as `deeplabv3plus-sem`; BadRequest for others."""
    architecture = MODEL_TYPES.get(asked.lower().removesuffix(REPORTED_ENDING))
    if architecture is None:
        offered = ", ".join(name for name in MODEL_TYPES if name)
        raise BadRequest(f"modelType {asked[:100]!r} is not offered; take one of {offered}")
    return architecture


def _filled_beside(recipe: dict[str, Any]) -> list[str]:
    """Keys that would be ignored. Empty ones are, as an `online_augmentation` of nothing."""
    filled = (key for key, value in recipe.items() if value not in (None, {}, []))
    return sorted(set(filled) - set(RECIPE_KEYS))


def read_recipe(recipe: Any) -> dict[str, Any]:
    """The hyperparameters of a recipe; null means the default."""
    given = recipe.get("hyperparameters", {}) if isinstance(recipe, dict) else None
    beside = _filled_beside(recipe) if isinstance(given, dict) else []
    if beside:
        raise BadRequest(
            f"'trainRecipe' has the unknown keys {str(beside)[:200]}; it takes 'hyperparameters', "
            "an object, and what is to be set belongs into that"
        )
    if not isinstance(given, dict):
        raise BadRequest("'trainRecipe' is an object with 'hyperparameters', an object as well")
    unknown = sorted(set(given) - set(PARAMETERS))
    if unknown:
        raise BadRequest(
            f"hyperparameters {unknown} are not offered; take some of {', '.join(PARAMETERS)}"
        )
    return {
        name: _checked(name, value, PARAMETERS[name])
        for name, value in given.items()
        if value is not None
    }


def _checked(name: str, value: Any, parameter: Parameter) -> Any:
    if parameter.kind is str:
        if not isinstance(value, str) or not value.replace("_", "").isalnum() or len(value) > 100:
            raise BadRequest(f"{name} is {str(value)[:100]!r}; send a name, as 'resnet50'")
        return value
    kinds = int if parameter.kind is int else (int, float)
    is_number = isinstance(value, kinds) and not isinstance(value, bool)
    if not is_number or not parameter.least <= value <= parameter.most:
        raise BadRequest(
            f"{name} is {str(value)[:100]!r}; send a number from {parameter.least:g} to "
            f"{parameter.most:g}"
        )
    return value


def describe_recipe(architecture: str) -> dict[str, Any]:
    """The hyperparameters with their bounds, and a recipe of the defaults to change and send.

    What is null in it is chosen for the data set.
    """
    defaults = {field.name: field.default for field in fields(TrainingRecipe)}
    template = {name: None if name in CHOSEN else defaults[name] for name in PARAMETERS}
    return {
        "modelType": architecture + REPORTED_ENDING,
        "schema": {
            "hyperparameters": {
                name: {
                    "type": {int: "integer", float: "number", str: "string"}[parameter.kind],
                    **(
                        {}
                        if parameter.kind is str
                        else {"minimum": parameter.least, "maximum": parameter.most}
                    ),
                    "default": template[name],
                }
                for name, parameter in PARAMETERS.items()
            }
        },
        "template": {"modelType": architecture, "hyperparameters": template},
    }
