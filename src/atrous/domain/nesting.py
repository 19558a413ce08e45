"""How deep JSON is nested, told without recursion: deep values are what recursion fails on."""

from typing import Any


def is_deeper(value: Any, levels: int) -> bool:
    """Whether lists and objects lie within one another on more levels than these.

    >>> is_deeper({"a": [1]}, 2), is_deeper({"a": [[]]}, 2), is_deeper(3, 0)
    (False, True, False)
    """
    layer = [value]
    for _ in range(levels):
        layer = [
            inner
            for outer in layer
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
    return any(isinstance(inner, dict | list) for inner in layer)
