from typing import Any

import pytest

from atrous.domain.nesting import is_deeper


def nested(levels: int) -> Any:
    value: Any = 1
    for level in range(levels):
        value = {"a": value, "b": 2} if level % 2 else [0, value]
    return value


@pytest.mark.parametrize("levels", [1, 2, 32, 5000])
def test_levels_are_counted_however_many(levels: int) -> None:
    assert not is_deeper(nested(levels), levels)
    assert is_deeper(nested(levels), levels - 1)


def test_empty_ones_count() -> None:
    assert is_deeper([{}], 1)
    assert not is_deeper([{}], 2)
