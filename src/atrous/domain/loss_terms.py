"""A training's loss as people write it, `ce + 0.5*lovasz`, and as terms with weights."""

import math
import re
from dataclasses import dataclass, field

from atrous.domain.errors import BadInput

# Losses, the parameters that each takes, and for each parameter its default, least and most.
LOSSES: dict[str, dict[str, tuple[float, float, float]]] = {
    "ce": {},
    "ohem": {"threshold": (0.7, 0.0, 1.0), "least": (0.0625, 0.0, 1.0)},
    "dice": {},
    "lovasz": {},
    "focal": {"gamma": (2.0, 0.0, 10.0)},
    "tversky": {"alpha": (0.3, 0.0, 10.0), "beta": (0.7, 0.0, 10.0)},
    "rmi": {"radius": (3.0, 1.0, 7.0), "pool": (4.0, 1.0, 16.0)},
}
WEIGHTED = {"ce", "ohem", "focal"}  # by class; the others compare regions
SMOOTHED = {"ce", "ohem"}  # labels
WHOLE_NUMBERS = {"radius", "pool"}
EXAMPLES = "'ce', 'ce + 0.5*lovasz' or 'ohem(threshold=0.8) + dice'"
TERM = re.compile(r"(?:(?P<weight>[0-9.eE+-]+)\s*\*\s*)?(?P<name>[a-z]+)\s*(?:\((?P<given>.*)\))?")
SUM = re.compile(r"\+(?![^(]*\))")  # a plus that is not between brackets


@dataclass(frozen=True)
class LossTerm:
    """One loss of a sum."""

    name: str  # a key of LOSSES
    weight: float = 1.0
    parameters: dict[str, float] = field(default_factory=dict)  # all that the loss takes


def parse_loss(text: str) -> tuple[LossTerm, ...]:
    """The terms of a sum of losses, each as `name`, `weight*name` or `name(parameter=value)`.

    Raises BadInput for anything else, a loss that is named twice included.

    >>> [(term.weight, term.name) for term in parse_loss("ce + 0.5*lovasz")]
    [(1.0, 'ce'), (0.5, 'lovasz')]
    """
    terms = tuple(_parse_term(part.strip(), text) for part in SUM.split(text))
    names = [term.name for term in terms]
    for name in names:
        if names.count(name) > 1:
            raise _refusal(text, f"{name} is named twice; give it once, with a weight")
    return terms


def _parse_term(part: str, text: str) -> LossTerm:
    found = TERM.fullmatch(part)
    if not found:
        raise _refusal(text, f"{part!r} is no term")
    name = found["name"]
    if name not in LOSSES:
        raise _refusal(text, f"there is no loss {name!r}, only {', '.join(LOSSES)}")
    weight = _read_number(found["weight"] or "1", text)
    if not 0 < weight <= 1000:
        raise _refusal(text, f"the weight of {name} is {weight:g}; give a number above 0")
    return LossTerm(name, weight, _read_parameters(name, found["given"], text))


def _read_parameters(name: str, given: str | None, text: str) -> dict[str, float]:
    known = LOSSES[name]
    values = {key: default for key, (default, _, _) in known.items()}
    for assignment in given.split(",") if given is not None else []:
        key, _, number = (part.strip() for part in assignment.partition("="))
        if key not in known:
            takes = ", ".join(known) or "no parameters"
            raise _refusal(text, f"{name} takes {takes}, not {assignment.strip()!r}")
        value = _read_number(number, text)
        _, least, most = known[key]
        whole = key not in WHOLE_NUMBERS or value == int(value)
        if not (least <= value <= most and whole):
            kind = "a whole number" if key in WHOLE_NUMBERS else "a number"
            raise _refusal(
                text, f"{key} of {name} is {value:g}; give {kind} from {least:g} to {most:g}"
            )
        values[key] = value
    return values


def _read_number(text: str, whole: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise _refusal(whole, f"{text!r} is no number") from None
    if not math.isfinite(value):
        raise _refusal(whole, f"{text!r} is no number")
    return value


def _refusal(text: str, why: str) -> BadInput:
    return BadInput(f"loss is {text!r}: {why}. Write {EXAMPLES}")
