"""`recommended_parameters`: the confidence thresholds that were found best for a model."""

import math
from collections.abc import Sequence
from typing import Any

from atrous.domain.errors import BadPackage
from atrous.domain.predictions import Thresholds

FIELD = "recommended_parameters"
DEFAULT_CONFIDENCE = 0.5  # what "default" means to clients, and "best" where nothing was found


def read_thresholds(
    values: dict[str, Any], file: str, class_names: Sequence[str]
) -> Thresholds | None:
    """What a package's JSON values recommend; None where they recommend nothing.

    `confidence` is for all classes, `per_class_confidence` for those that it names; classes
    that neither gives a threshold have 0.5. Raises BadPackage for anything but numbers from 0;
    in `per_class_confidence` peers write more than 1 for a class that is never to be shown.
    """
    parameters = values.get(FIELD)
    if not isinstance(parameters, dict):
        return None
    common, per_class = parameters.get("confidence"), parameters.get("per_class_confidence")
    if common is not None:
        common = _threshold(common, f"{file} says {FIELD}.confidence", highest=1.0)
    if not per_class:
        return common
    if not isinstance(per_class, dict):
        raise BadPackage(
            f"{file} says {FIELD}.per_class_confidence {str(per_class)[:100]!r}; "
            "it must be an object of thresholds by class name, or left out"
        )
    otherwise = DEFAULT_CONFIDENCE if common is None else common
    where = f"{file} says {FIELD}.per_class_confidence"
    named = {name: _threshold(value, f"{where} {name!r}") for name, value in per_class.items()}
    return tuple(named.get(name, otherwise) for name in class_names)


def _threshold(value: Any, where: str, highest: float = math.inf) -> float:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not 0 <= value <= highest or math.isinf(value):
        raise BadPackage(
            f"{where} {str(value)[:100]!r}; it must be a number from 0 to 1, or left out"
        )
    return float(value)
