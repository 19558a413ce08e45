"""What is said of an option's value that is out of its range, of another kind or no choice."""

from typing import Any

import typer

EXPECTED = {
    "less_than_equal": "at most {le:g}",
    "less_than": "less than {lt:g}",
    "greater_than_equal": "at least {ge:g}",
    "greater_than": "more than {gt:g}",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_parsing": "a number",
    "bool_parsing": "true or false",
}
NO_CHOICE = "is not one of "


def reworded(error: typer.BadParameter) -> typer.BadParameter:
    """The error with the value, and what was expected, in place of what typer's parser says.

    Left as it is where it does not come from the parser.
    """
    found = getattr(error.__cause__, "errors", None)
    param = getattr(error, "param", None)
    if found is None or param is None:
        return error
    first: dict[str, Any] = found()[0]
    if first["type"] in EXPECTED:
        expected = EXPECTED[first["type"]].format(**first.get("ctx", {}))
    elif NO_CHOICE in first["msg"]:
        choices = first["msg"].partition(NO_CHOICE)[2]
        expected = f"one of {choices.replace(chr(39), '').rstrip('.')}"
    else:
        return error
    name = next((each for each in param.opts if each.startswith("--")), param.name)
    return typer.BadParameter(f"{name} is {first['input']}; expected {expected}", ctx=error.ctx)
