"""The options of a version's step as clients write them: read, or refused by key and value."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from atrous.domain.errors import BadInput

SHOWN = 100  # characters of a value in a message


@dataclass(frozen=True)
class StepValues:
    """The options of one step. Every value may be written as a text, as some clients do."""

    step: str  # as messages name it: "augmentation 'rotate'"
    options: Mapping[str, Any] = field(default_factory=dict)

    def only(self, *known: str) -> "StepValues":
        """Refuse every other key; gives itself."""
        unknown = sorted(set(self.options) - {*known, "enabled"})
        if unknown:
            offered = f"it takes {', '.join(known)}" if known else "it takes no options"
            raise BadInput(
                f"{self.step} has the unknown key {str(unknown[0])[:SHOWN]!r}; {offered}"
            )
        return self

    def number(self, key: str, low: float, high: float, default: float | None = None) -> float:
        """Give a number in a range, both ends included."""
        expected = f"a number from {low:g} to {high:g}"
        value = self._value(key, default, expected)
        try:
            number = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError):
            number = math.nan
        if not low <= number <= high:  # also not for nan
            raise self.refusal(key, value, expected)
        return number

    def whole(self, key: str, low: int, high: int, default: int | None = None) -> int:
        """Give a whole number in a range, both ends included."""
        expected = f"a whole number from {low} to {high}"
        value = self._value(key, default, expected)
        try:
            number = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError):
            number = math.nan
        if not (low <= number <= high and number == int(number)):
            raise self.refusal(key, value, expected)
        return int(number)

    def flag(self, key: str, default: bool = False) -> bool:
        """Give true or false."""
        value = self.options.get(key, default)
        if not isinstance(value, bool):
            raise self.refusal(key, value, "true or false")
        return value

    def choice(self, key: str, offered: Sequence[str], default: str | None = None) -> str:
        """Give one of the texts that are offered."""
        expected = "one of " + ", ".join(f"'{name}'" for name in offered)
        value = self._value(key, default, expected)
        if value not in offered:
            raise self.refusal(key, value, expected)
        return str(value)

    def texts(self, key: str) -> tuple[str, ...]:
        """Give a list of texts; none where it is missing."""
        value = self.options.get(key, [])
        if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
            raise self.refusal(key, value, "a list of texts")
        return tuple(value)

    def _value(self, key: str, default: Any, expected: str) -> Any:
        value = self.options.get(key, default)
        if value is None:
            raise BadInput(f"{self.step} has no '{key}'; give {expected}")
        return value

    def refusal(self, key: str, value: Any, expected: str) -> BadInput:
        """Give the error for a value that can't be used."""
        return BadInput(f"{self.step}: '{key}' is {str(value)[:SHOWN]!r}; give {expected}")


Read = Callable[[StepValues], Any]


def wanted_steps(
    kind: str, steps: Mapping[str, Any], known: Sequence[str]
) -> dict[str, StepValues]:
    """Give the steps that are switched on; BadInput for one that is not known.

    kind: preprocessing or augmentation, for messages.
    """
    wanted = {}
    for name, options in steps.items():
        if name not in known:
            raise BadInput(
                f"{kind} '{str(name)[:SHOWN]}' is not offered; known are {', '.join(sorted(known))}"
            )
        values = StepValues(f"{kind} '{name}'", options if isinstance(options, Mapping) else {})
        if not isinstance(options, (Mapping, bool, type(None))):
            raise BadInput(
                f"{values.step} is {str(options)[:SHOWN]!r}; give an object of options, "
                "true or false"
            )
        is_on = bool(options) if not isinstance(options, Mapping) else values.flag("enabled", True)
        if is_on:
            wanted[name] = values
    return wanted
