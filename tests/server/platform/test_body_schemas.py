import ast
import importlib
import inspect
import pkgutil

import pytest

from atrous.server import platform
from atrous.server.platform import body_schemas

MODULES = [
    importlib.import_module(f"{platform.__name__}.{module.name}")
    for module in pkgutil.iter_modules(platform.__path__)
]
FIELD_READERS = (
    "text_field",
    "texts_field",
    "flag_field",
    "number_field",
    "ids_field",
    "object_field",
    "_steps",
)
SCHEMAS = [
    schema
    for schema in vars(body_schemas).values()
    if inspect.isclass(schema)
    and issubclass(schema, body_schemas.PlatformBody)
    and schema is not body_schemas.PlatformBody
]
# Read, and described under the other names.
OLD_SPELLINGS = {"model_type", "train_recipe", "media_types"}
OF_UPDATES = {"imageId"}  # read of each of a list, whose description names it


def fields_read() -> set[str]:
    """The names that the routes' code takes out of bodies."""
    found = set()
    for module in MODULES:
        for call in ast.walk(ast.parse(inspect.getsource(module))):
            if not isinstance(call, ast.Call):
                continue
            if isinstance(call.func, ast.Name) and call.func.id in FIELD_READERS:
                names = call.args[1:2]
            elif ast.unparse(call.func) == "body.get":
                names = call.args[:1]
            else:
                continue
            found |= {name.value for name in names if isinstance(name, ast.Constant)}
    return found


def test_what_is_described_is_what_is_read() -> None:
    described = {name for schema in SCHEMAS for name in schema.model_fields}
    assert described - {"api_key"} == fields_read() - OLD_SPELLINGS - OF_UPDATES


@pytest.mark.parametrize("schema", SCHEMAS)
def test_examples_fit_their_fields(schema: type[body_schemas.PlatformBody]) -> None:
    examples = {
        name: field.examples[0] for name, field in schema.model_fields.items() if field.examples
    }
    needed = {name: "version" for name in ("type", "id") if name in schema.model_fields}
    assert schema.model_validate({**needed, **examples})


def test_what_a_body_describes_is_taken(api) -> None:
    """One call per kind of body, with the examples; each is understood."""
    made = api.post("/default/projects", {"name": "Lanes", "type": None, "license": None})
    assert made.status_code == 200, made.text
    for path, body in (
        ("/default/lanes/search", {"prompt": None, "limit": 250, "fields": ["id"]}),
        ("/default/search/v1", {"query": "project:lanes *"}),
        ("/default/lanes/upload/zip", {"split": None, "tags": None, "batchName": None}),
    ):
        answer = api.post(path, body)
        assert answer.status_code == 200, f"{path}: {answer.text}"
