"""The middleware alone, then in a whole app."""

import anyio
import pytest
from starlette.types import Scope

from atrous.server.full_queues import FullQueues
from atrous.server.metrics import Metrics
from atrous.server.work_queue import WorkQueue


@pytest.mark.parametrize("is_welcome", [True, False])
def test_only_who_may_ask_is_refused_before_the_route(is_welcome: bool) -> None:
    async def scenario() -> None:
        passed, sent = [], []

        async def app(scope, receive, send) -> None:
            passed.append(scope["path"])

        async def send(message) -> None:
            sent.append(message)

        async def welcomes(scope: Scope) -> bool:
            return is_welcome

        queue = WorkQueue(threads=1, max_waiting=0, metrics=Metrics())
        full_queues = FullQueues(app, queue, lambda scope: scope["path"], welcomes)
        with queue.place("a/1"):
            for path in ("a/1", "b/1"):
                await full_queues({"type": "http", "path": path}, None, send)
        await full_queues({"type": "http", "path": "a/1"}, None, send)
        assert passed == (["b/1", "a/1"] if is_welcome else ["a/1", "b/1", "a/1"])
        assert [message.get("status") for message in sent] == ([429, None] if is_welcome else [])

    anyio.run(scenario)


def test_the_answer_is_that_of_the_route(client, store, key, png) -> None:
    work = client.app.state.services.work
    work._taken["colours/1"] = work._places_per_model
    by_path = client.post("/colours/1", params={"api_key": key}, content=png)
    body = {"model_id": "colours/1", "image": {"type": "base64", "value": ""}, "api_key": key}
    by_route = client.post("/infer/semantic_segmentation", json=body)
    for answer in (by_path, by_route):
        assert (answer.status_code, answer.headers["Retry-After"]) == (429, "1")
    assert by_path.json() == by_route.json()
    assert "atrous_refused_total 2.0" in client.get("/metrics").text


def test_who_may_not_ask_is_told_that(client, store, key, png) -> None:
    services = client.app.state.services
    services.work._taken["colours/1"] = services.work._places_per_model
    workspace = store.workspaces.default()
    other = store.api_keys.create("other", workspace, scopes=("write",)).plain_text
    secrets = {None: 401, "wrong": 403, other: 403, key: 429}
    for secret, status in secrets.items():
        params = {"api_key": secret} if secret else {}
        assert client.post("/colours/1", params=params, content=png).status_code == status
    assert client.get("/model/registry", params={"api_key": key}).status_code == 200
    assert client.post("/other/1", params={"api_key": key}, content=png).status_code == 404
    services.lifecycle.drain()
    answer = client.post("/colours/1", params={"api_key": key}, content=png)
    assert answer.status_code == 503
