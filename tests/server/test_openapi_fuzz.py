"""Requests made from the OpenAPI document by schemathesis: every route keeps to 2xx and 4xx.

Those of the platform are in `platform/test_openapi_fuzz.py`.
"""

import hypothesis
import pytest

schemathesis = pytest.importorskip(
    "schemathesis", reason="schemathesis is not installed: pip install schemathesis"
)

EXAMPLES_PER_ROUTE = 25


@pytest.mark.slow
def test_no_request_is_an_error_of_the_server(start, key) -> None:
    app = start(max_waiting_requests=8).app
    schema = schemathesis.openapi.from_asgi("/openapi.json", app)
    headers = {"Authorization": f"Bearer {key}"}
    routes, statuses = 0, set()
    for result in schema.get_all_operations():
        operation = result.ok()
        if "{workspace}" in operation.path:
            continue
        routes += 1

        @hypothesis.given(case=operation.as_strategy())
        @hypothesis.settings(
            max_examples=EXAMPLES_PER_ROUTE,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        def ask(case) -> None:
            answer = case.call(headers=headers)
            statuses.add(answer.status_code)
            assert answer.status_code < 500, f"{case.method} {case.path}: {answer.text[:300]}"

        ask()
    assert routes > 12
    assert {200, 400, 404} <= statuses  # as a control: requests get to where they should
