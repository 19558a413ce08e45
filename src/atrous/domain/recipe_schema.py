"""The recipe as a JSON schema, and the reading of a recipe file by the same rules.

Both walk the type hints of the dataclasses in `recipes.py` and the bounds in `recipe_rules.py`, so
a new field is in both at once.
"""

import json
import math
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from atrous.domain.errors import BadInput
from atrous.domain.recipe_rules import BOUNDS
from atrous.domain.recipes import PreprocessRecipe, TrainingRecipe

DIALECT = "https://json-schema.org/draft/2020-12/schema"
NAMES = {bool: "boolean", int: "integer", float: "number", str: "string", NoneType: "null"}
SPOKEN = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
# Of these a file may give some fields; the rest is decided as if there were no file.
PARTIAL = (TrainingRecipe, PreprocessRecipe)


def recipe_schema() -> dict[str, Any]:
    """The JSON schema of a recipe file: every field, its type, bounds and default."""
    return {"$schema": DIALECT, "title": "Training recipe", **_schema(TrainingRecipe, "")}


def read_recipe_file(path: Path) -> dict[str, Any]:
    """The fields that a recipe file gives, as values of TrainingRecipe's fields.

    `preprocess` is a dict of the fields given. The reasons in a run's `recipe.json` are left out:
    they were another decision's. Raises BadInput that names file, field, value and remedy.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(f"recipe {path} can't be read: {error.strerror}") from error
    except ValueError as error:
        raise BadInput(
            f"recipe {path} is no JSON: {error}; `atrous recipe schema` says what to write"
        ) from error
    try:
        read: dict[str, Any] = _read(TrainingRecipe, values, "")
    except BadInput as error:
        raise BadInput(f"recipe {path}: {error}") from error
    read.pop("reasons", None)
    return read


def _schema(hint: Any, path: str) -> dict[str, Any]:
    """The schema of a value of this type at this place."""
    if is_dataclass(hint):
        return _object_schema(hint, path)
    arguments = get_args(hint)
    origin = get_origin(hint)
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin in (Union, UnionType):
        return {"anyOf": [_schema(choice, path) for choice in arguments]}
    if origin is tuple:
        array = {"type": "array", "items": _schema(arguments[0], path)}
        count = len(arguments)
        fixed = {} if arguments[-1] is Ellipsis else {"minItems": count, "maxItems": count}
        return {**array, **fixed}
    if origin is dict:
        return {"type": "object", "additionalProperties": _schema(arguments[1], path)}
    schema: dict[str, Any] = {"type": NAMES[hint]}
    bounds = BOUNDS.get(path) if hint in (int, float) else None
    if bounds:
        limits = {
            "minimum": bounds.least,
            "maximum": bounds.most,
            "exclusiveMinimum": bounds.above,
        }
        schema |= {key: limit for key, limit in limits.items() if limit is not None}
    return schema


def _object_schema(kind: Any, path: str) -> dict[str, Any]:
    properties = {}
    for name, (hint, default) in _fields(kind).items():
        properties[name] = _schema(hint, _below(path, name))
        if default is not MISSING:
            properties[name]["default"] = default
    schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return schema if kind in PARTIAL else {**schema, "required": list(properties)}


def _read(hint: Any, value: Any, path: str) -> Any:
    """A JSON value as a value of this type; BadInput where it is none."""
    if is_dataclass(hint):
        return _read_object(hint, value, path)
    arguments, origin = get_args(hint), get_origin(hint)
    if origin is Literal:
        if value not in arguments or isinstance(value, bool):
            raise _refusal(path, value, f"one of {', '.join(map(str, arguments))}")
        return value
    if origin in (Union, UnionType):
        if value is None and NoneType in arguments:
            return None
        [only] = [choice for choice in arguments if choice is not NoneType]
        return _read(only, value, path)
    if origin is tuple:
        return _read_list(arguments, value, path)
    if origin is dict:
        if not isinstance(value, dict):
            raise _refusal(path, value, "an object of texts")
        return {key: _read(arguments[1], entry, path) for key, entry in value.items()}
    return _read_plain(hint, value, path)


def _read_object(kind: Any, values: Any, path: str) -> Any:
    known = _fields(kind)
    if not isinstance(values, dict):
        raise _refusal(path or "the whole", values, "an object of fields")
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise BadInput(
            f"{_below(path, unknown[0])} is no field; known are {', '.join(sorted(known))}"
        )
    missing = [name for name in known if name not in values]
    if missing and kind not in PARTIAL:
        raise BadInput(f"{_below(path, missing[0])} is missing; give {', '.join(known)}")
    read = {
        name: _read(known[name][0], value, _below(path, name)) for name, value in values.items()
    }
    return read if kind in PARTIAL else kind(**read)


def _read_list(arguments: tuple[Any, ...], value: Any, path: str) -> tuple[Any, ...]:
    count = None if arguments[-1] is Ellipsis else len(arguments)
    if not isinstance(value, list) or (count is not None and len(value) != count):
        raise _refusal(path, value, f"a list of {count or 'any'} number{'s' * (count != 1)}")
    return tuple(_read(arguments[0], entry, path) for entry in value)


def _read_plain(kind: type, value: Any, path: str) -> Any:
    numeric = kind is float and isinstance(value, int) and not isinstance(value, bool)
    if type(value) is not kind and not numeric:
        raise _refusal(path, value, SPOKEN[kind])
    if kind is float and not math.isfinite(value):
        raise _refusal(path, value, SPOKEN[kind])
    bounds = BOUNDS.get(path) if kind in (int, float) else None
    if bounds and not bounds.hold(value):
        raise _refusal(path, value, str(bounds))
    return float(value) if numeric else value


def _fields(kind: Any) -> dict[str, tuple[Any, Any]]:
    """Type and default (or MISSING) of a dataclass's fields, by name."""
    hints = get_type_hints(kind)
    return {field.name: (hints[field.name], field.default) for field in fields(kind)}


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _refusal(path: str, value: Any, expected: str) -> BadInput:
    return BadInput(f"{path} is {json.dumps(value)}; give {expected}")
