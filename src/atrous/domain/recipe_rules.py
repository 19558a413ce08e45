"""Which values of a recipe make sense, beyond their types."""

from dataclasses import dataclass
from typing import Literal, get_args, get_origin, get_type_hints

from atrous.domain.errors import BadInput
from atrous.domain.loss_terms import SMOOTHED, WEIGHTED, parse_loss
from atrous.domain.recipes import TrainingRecipe


@dataclass(frozen=True)
class Bounds:
    """The numbers that a field may have."""

    least: int | float | None = None
    most: int | float | None = None
    above: int | float | None = None  # excluded

    def hold(self, value: int | float) -> bool:
        """Whether a number is within; nan never is."""
        return (
            (self.least is None or value >= self.least)
            and (self.most is None or value <= self.most)
            and (self.above is None or value > self.above)
        )

    def __str__(self) -> str:
        """What to give, as an error says it."""
        if self.above is not None:
            most = "" if self.most is None else f", at most {self.most:g}"
            return f"a number above {self.above:g}{most}"
        if self.most is None:
            return f"{self.least:g} or more"
        return f"a number from {self.least:g} to {self.most:g}"


POSITIVE, WHOLE, SHARE = Bounds(above=0), Bounds(least=1), Bounds(least=0, most=1)
NOT_NEGATIVE = Bounds(least=0)
PERCENT, NETWORK_SIDE = Bounds(least=0, most=100), Bounds(least=32)
# By path in the recipe's JSON; each entry of a list is meant.
BOUNDS = {
    "preprocess.size.height": NETWORK_SIDE,
    "preprocess.size.width": NETWORK_SIDE,
    "preprocess.padding_value": Bounds(least=0, most=255),
    "preprocess.static_crop.x_min": PERCENT,
    "preprocess.static_crop.x_max": PERCENT,
    "preprocess.static_crop.y_min": PERCENT,
    "preprocess.static_crop.y_max": PERCENT,
    "preprocess.scaling_factor": POSITIVE,
    "preprocess.std": POSITIVE,
    "crop.height": NETWORK_SIDE,
    "crop.width": NETWORK_SIDE,
    "export_side": NETWORK_SIDE,
    "auxiliary_weight": NOT_NEGATIVE,
    "loss_stride": Bounds(least=1, most=8),
    "early_share": SHARE,
    "norm_share": SHARE,
    "early_scale": Bounds(above=0, most=1),
    "iterations": WHOLE,
    "epochs": WHOLE,
    "validation_interval": NOT_NEGATIVE,
    "batch_size": WHOLE,
    "accumulation": WHOLE,
    "repeat_threshold": SHARE,
    "learning_rate": POSITIVE,
    "backbone_rate": NOT_NEGATIVE,
    "weight_decay": NOT_NEGATIVE,
    "momentum": SHARE,
    "gradient_clip": NOT_NEGATIVE,
    "warmup_share": SHARE,
    "poly_power": NOT_NEGATIVE,
    "label_smoothing": SHARE,
    "class_weights": NOT_NEGATIVE,
    "ema_decay": SHARE,
    "scale_min": POSITIVE,
    "scale_max": POSITIVE,
    "flip": SHARE,
    "color_jitter": SHARE,
    "copy_paste": SHARE,
    "devices": WHOLE,
    "workers": NOT_NEGATIVE,
    "seed": Bounds(least=0, most=2**31 - 1),
    "time_budget_s": POSITIVE,
}
# By field, the words or numbers that its type names.
CHOICES = {
    name: get_args(hint)
    for name, hint in get_type_hints(TrainingRecipe).items()
    if get_origin(hint) is Literal
}


def checked(recipe: TrainingRecipe) -> TrainingRecipe:
    """Give the recipe back, or raise BadInput that names the first value that makes no sense."""
    for name, bounds in BOUNDS.items():
        if "." not in name:
            value = getattr(recipe, name)
            for number in value if isinstance(value, tuple) else (value,):
                if number is not None and not bounds.hold(number):
                    raise BadInput(f"{name} is {number}; give {bounds}")
    for name, words in CHOICES.items():
        if getattr(recipe, name) not in words:
            *others, last = map(str, words)
            raise BadInput(f"{name} is {getattr(recipe, name)}; give {', '.join(others)} or {last}")
    _check_together(recipe)
    _check_loss(recipe)
    return recipe


def without_effect(recipe: TrainingRecipe) -> dict[str, str]:
    """Fields that change nothing, whatever their value, beside the others; and why."""
    names = {term.name for term in parse_loss(recipe.loss)}
    found = {}
    if not names & WEIGHTED:
        found["class_weights"] = f"no pixel weighs more in loss {recipe.loss}"
    if not names & SMOOTHED:
        found["label_smoothing"] = f"loss {recipe.loss} takes labels as they are"
    if recipe.optimizer != "sgd":
        found["momentum"] = f"optimizer {recipe.optimizer} has its own"
    if recipe.schedule != "poly":
        found["poly_power"] = f"schedule {recipe.schedule} has none"
    return found


def _check_loss(recipe: TrainingRecipe) -> None:
    """Whether it is understood, and sees enough of a photo."""
    scale = recipe.early_scale if recipe.early_share else 1.0
    seen = round(min(recipe.crop.height, recipe.crop.width) * scale) // recipe.loss_stride
    for term in parse_loss(recipe.loss):
        needed = int(term.parameters.get("radius", 1) * term.parameters.get("pool", 1))
        if seen < needed:
            raise BadInput(
                f"loss is {recipe.loss!r}: {term.name} compares neighbourhoods of {needed} pixels, "
                f"and the shorter side of what it sees has {seen}; give a larger size, a smaller "
                "radius or pool, or loss_stride 1 and early_share 0"
            )


def _check_together(recipe: TrainingRecipe) -> None:
    """Values that make sense one by one, and not with each other."""
    if recipe.scale_min > recipe.scale_max:
        raise BadInput(
            f"scale_min is {recipe.scale_min}; give a number above 0, at most scale_max, which is "
            f"{recipe.scale_max}"
        )
    if recipe.accumulation > recipe.batch_size:
        raise BadInput(
            f"accumulation is {recipe.accumulation}; give at most batch_size, which is "
            f"{recipe.batch_size}: a part has a photo at least"
        )
    if recipe.devices > recipe.batch_size:
        raise BadInput(
            f"devices is {recipe.devices}; give at most batch_size, which is {recipe.batch_size}: "
            "each takes a photo of a batch at least"
        )
    if recipe.nesterov and not (recipe.optimizer == "sgd" and recipe.momentum > 0):
        raise BadInput("nesterov is true; it needs optimizer sgd and a momentum above 0")
