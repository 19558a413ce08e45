"""Requests to the platform made from the OpenAPI document by schemathesis: 2xx and 4xx alone.

A path made at random leads nowhere. So half of the requests get the names of a project, a version,
a photo and a training that are there, in paths and bodies, and what else they say is read.
"""

import itertools
from collections import Counter
from typing import Any

import hypothesis
import pytest

from atrous.server.platform.unsupported_routes import AT_TOP, OF_WORKSPACES

schemathesis = pytest.importorskip(
    "schemathesis", reason="schemathesis is not installed: pip install schemathesis"
)

EXAMPLES_PER_ROUTE = 10
READ = (200, 202, 204, 400, 409)  # a 404 may be a path's
NOT_SEEN = {
    "PUT /files/{token}",  # no token is made at random
    "PUT /files/{token}/model.zip",
    "POST /{workspace}/trash/restore",  # nor the id of what lies there
}


def is_of_platform(operation: Any) -> bool:
    return "{workspace}" in operation.path or operation.path.startswith(("/dataset/", "/files/"))


def is_of_unsupported(path: str) -> bool:
    """Whether drawn names happen to lead to a service that is not offered, whose answer is 501.

    Hypothesis draws the words of the server's own source, `videoinfer` among them.
    """
    first, second, *_ = [*path.strip("/").split("/"), ""]
    return first in AT_TOP or second in OF_WORKSPACES


def order(operation: Any) -> tuple[bool, int]:
    """What deletes comes last, a whole project at the very end."""
    return operation.method.upper() == "DELETE", -operation.path.count("/")


@pytest.mark.slow
def test_no_request_is_an_error_of_the_server(api, labelled, generate, train) -> None:
    generate()
    there = {
        "workspace": "default",
        "project": "roads",
        "dataset": "roads",
        "version": 1,
        "training": train(),
        "image": labelled[0],
        "model": "roads/1",
    }
    schema = schemathesis.openapi.from_asgi("/openapi.json", api.http.app)
    headers = {"Authorization": f"Bearer {api.key}"}
    operations = [result.ok() for result in schema.get_all_operations()]
    operations = [operation for operation in operations if is_of_platform(operation)]
    operations.sort(key=order)
    turn, read = itertools.count(), Counter[str]()
    statuses = Counter[int]()
    for operation in operations:

        @hypothesis.given(case=operation.as_strategy())
        @hypothesis.settings(
            max_examples=EXAMPLES_PER_ROUTE,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(hypothesis.HealthCheck),
            phases=[hypothesis.Phase.generate],
        )
        def ask(case) -> None:
            if next(turn) % 2:
                for names in (case.path_parameters, case.body):
                    if isinstance(names, dict):
                        names.update({name: there[name] for name in names if name in there})
            answer = case.call(headers=headers)
            most = 501 if is_of_unsupported(case.formatted_path) else 499
            assert answer.status_code <= most, f"{case.method} {case.path}: {answer.text[:300]}"
            statuses[answer.status_code] += 1
            read[f"{case.method} {case.path}"] += answer.status_code in READ

        ask()
    assert len(operations) > 45
    assert {200, 400, 404} <= set(statuses)
    # as a control: bodies get to where they are read
    bodies = {f"{each.method.upper()} {each.path}" for each in operations if each.body}
    assert len(bodies) > 18
    assert {name for name in bodies if not read[name]} <= NOT_SEEN
