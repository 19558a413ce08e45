from typing import Any

import pytest

from atrous.domain.errors import BadInput
from atrous.domain.views import Views


def test_json_round_trip() -> None:
    views = Views(window=512, overlap=0.5, scales=(0.5, 1.0), flip=True)
    assert Views.from_json(views.to_json()) == views
    assert Views.from_json({}) == Views()
    assert Views.from_json({"scales": [1], "window": 64}) == Views(window=64)


def test_plain_is_one_look() -> None:
    assert Views().is_plain
    assert Views(overlap=0.5).is_plain
    for several in (Views(window=64), Views(scales=(2.0,)), Views(flip=True)):
        assert not several.is_plain


@pytest.mark.parametrize(
    "wrong",
    [
        {"window": 31},
        {"overlap": 0.8},
        {"scales": []},
        {"scales": [0.1]},
        {"scales": [float("nan")]},
        {"scales": [1.0] * 11},
        {"scales": "wide"},
        {"size": 3},
        3,
        None,
    ],
)
def test_what_is_refused(wrong: Any) -> None:
    with pytest.raises(BadInput):
        Views.from_json(wrong)
