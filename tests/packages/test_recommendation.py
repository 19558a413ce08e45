from typing import Any

import pytest

from atrous.domain.errors import BadPackage
from atrous.packages.recommendation import read_thresholds

NAMES = ("background", "cat", "dog")


@pytest.mark.parametrize(
    ("values", "thresholds"),
    [
        ({}, None),
        ({"recommended_parameters": None}, None),
        ({"recommended_parameters": {"confidence": 0.3}}, 0.3),
        ({"recommended_parameters": {"confidence": 0.3, "per_class_confidence": {}}}, 0.3),
        ({"recommended_parameters": {"per_class_confidence": {"dog": 0.7}}}, (0.5, 0.5, 0.7)),
        (
            {"recommended_parameters": {"confidence": 0, "per_class_confidence": {"cat": 1.01}}},
            (0.0, 1.01, 0.0),
        ),
        ({"recommended_parameters": {"per_class_confidence": {"lion": 1}}}, (0.5, 0.5, 0.5)),
    ],
)
def test_thresholds(values: dict[str, Any], thresholds: Any) -> None:
    assert read_thresholds(values, "model_config.json", NAMES) == thresholds


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"confidence": 1.01}, r"confidence '1.01'; it must be a number from 0 to 1"),
        ({"per_class_confidence": {"cat": -0.1}}, "per_class_confidence 'cat' '-0.1'"),
        ({"per_class_confidence": {"cat": float("nan")}}, "per_class_confidence 'cat' 'nan'"),
        ({"per_class_confidence": {"cat": True}}, "'True'"),
        ({"per_class_confidence": [0.3]}, "an object of thresholds by class name"),
    ],
)
def test_what_is_no_threshold(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(BadPackage, match=named):
        read_thresholds({"recommended_parameters": wrong}, "model_config.json", NAMES)
