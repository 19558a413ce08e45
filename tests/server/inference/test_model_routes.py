import pytest


@pytest.fixture
def call(client, key):
    def call(method, path, **arguments):
        return client.request(method, path, headers={"authorization": f"Bearer {key}"}, **arguments)

    return call


def ids(answer) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [model["model_id"] for model in answer.json()["models"]]


def test_a_model_comes_and_goes(call) -> None:
    assert ids(call("GET", "/model/registry")) == []
    model = {"model_id": "colours/1"}
    assert ids(call("POST", "/model/add", json=model)) == ["colours/1"]
    assert ids(call("POST", "/model/add", json=model)) == ["colours/1"]
    assert ids(call("GET", "/model/registry")) == ["colours/1"]
    assert ids(call("POST", "/model/remove", json=model)) == []
    assert ids(call("POST", "/model/remove", json=model)) == []
    assert ids(call("POST", "/model/remove", json={"model_id": "unknown/1"})) == []


def test_clearing_takes_an_empty_body(call) -> None:
    call("POST", "/model/add", json={"model_id": "colours/1"})
    assert ids(call("POST", "/model/clear")) == []
    call("POST", "/model/add", json={"model_id": "colours/1"})
    assert call("GET", "/clear_cache").json() == "Cache Cleared"
    assert ids(call("GET", "/model/registry")) == []


def test_the_task_that_clients_accept_and_the_true_one(call) -> None:
    [entry] = call("POST", "/model/add", json={"model_id": "colours/1"}).json()["models"]
    assert entry["task_type"] == "instance-segmentation"
    assert entry["true_task_type"] == "semantic-segmentation"
    assert entry["input_height"] is None


def test_starting_loads(call) -> None:
    answer = call("GET", "/start/colours/1")
    assert answer.json()["status"] == 200
    assert ids(call("GET", "/model/registry")) == ["colours/1"]
    assert call("GET", "/start/colours/2").status_code == 404


def test_unknown_models_are_404(call) -> None:
    assert call("POST", "/model/add", json={"model_id": "colours/2"}).status_code == 404
    assert call("POST", "/model/add", json={"model_id": "x"}).status_code == 400
    assert call("POST", "/model/add", json={}).status_code == 422


def test_the_registry_can_be_switched_off_alone(start, key) -> None:
    client, params = start(get_model_registry_enabled=False), {"api_key": key}
    assert client.get("/model/registry", params=params).status_code == 404
    assert "/model/registry" not in client.get("/openapi.json").json()["paths"]
    answer = client.post("/model/add", params=params, json={"model_id": "colours/1"})
    assert ids(answer) == ["colours/1"]
