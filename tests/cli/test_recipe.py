import json
from collections.abc import Callable

from atrous.domain.recipe_schema import recipe_schema


def test_the_schema_is_printed(atrous: Callable[..., tuple[int, str, str]]) -> None:
    code, out, err = atrous("recipe", "schema")
    assert (code, err) == (0, "")
    assert json.loads(out) == json.loads(json.dumps(recipe_schema()))
