"""What real answers look like is compared in `test_answer_schemas.py`; here what it never meets."""

from typing import get_args

from atrous.server.platform.evaluation_descriptions import PANELS, STATUSES
from atrous.server.platform.evaluation_schemas import Evaluation, Panel


def test_every_panel_has_a_schema_that_names_it() -> None:
    named = [(schema.__doc__ or "").split("`")[1] for schema in get_args(Panel)]
    assert named == list(PANELS)


def test_every_status_is_named() -> None:
    words = Evaluation.model_fields["status"].description or ""
    assert all(status in words for status in STATUSES.values())


def test_refusals_of_both_shapes_are_described(client) -> None:
    path = "/{workspace}/model-evals/{evaluation}"
    operation = client.get("/openapi.json").json()["paths"][path]["get"]
    schema = operation["responses"]["4XX"]["content"]["application/json"]["schema"]
    shapes = [each["$ref"].rpartition("/")[2] for each in schema["anyOf"]]
    assert shapes == ["EvaluationFailure", "PlatformFailure"]
