import pytest

from atrous.domain import errors
from atrous.server.errors import STATUSES, describe_error


def subclasses(kind: type) -> list[type]:
    return [kind] + [inner for child in kind.__subclasses__() for inner in subclasses(child)]


@pytest.mark.parametrize("kind", subclasses(errors.AtrousError))
def test_every_error_has_a_status_and_a_message(kind) -> None:
    status, message = describe_error(kind("reason"))
    assert 400 <= status <= 599
    assert message


def test_special_errors_come_before_general_ones() -> None:
    kinds = [kind for kind, _, _ in STATUSES]
    for index, kind in enumerate(kinds):
        assert not any(issubclass(later, kind) for later in kinds[index + 1 :])


def test_what_the_log_alone_may_know_stays_inside() -> None:
    assert describe_error(errors.BadPackage("/secret/path")) == (500, "Model package is broken.")
    assert "secret" not in describe_error(errors.TrainingFailed("secret"))[1]


def test_an_outage_is_503() -> None:
    said = errors.Unavailable("the S3 that keeps the files does not answer; try again")
    assert describe_error(said) == (503, str(said))


def test_422_never_sends_the_input_back(client, key) -> None:
    secret = "c2VjcmV0" * 1000
    for body in (
        {"image": secret},
        {"model_id": 5, "image": {"value": secret}},
        {"model_id": "colours/1", "image": [{"type": 1, "value": secret}]},
        {"model_id": "colours/1", "image": {"type": "base64"}, "confidence": secret},
        secret,
    ):
        answer = client.post(
            "/infer/semantic_segmentation", headers={"authorization": f"Bearer {key}"}, json=body
        )
        assert answer.status_code == 422
        assert "c2VjcmV0" not in answer.text
        assert isinstance(answer.json()["message"], str)
        assert isinstance(answer.json()["detail"], list)


def test_unknown_paths_and_methods_are_json(client, key) -> None:
    for method, path in [("GET", "/a"), ("GET", "/a/b/c"), ("DELETE", "/model/add")]:
        answer = client.request(method, path, params={"api_key": key})
        assert answer.status_code in (404, 405)
        assert isinstance(answer.json()["message"], str)


def test_the_unexpected_is_500_without_details(client, key, monkeypatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(type(client.app.state.services.models), "described", fail)
    answer = client.get("/model/registry", params={"api_key": key})
    assert answer.status_code == 500
    assert answer.json() == {"message": "Internal error."}


def test_a_damaged_package_leaves_others_serving(client, key, store, package, png) -> None:
    workspace = store.workspaces.default()
    damaged = store.models.publish("damaged", package, workspace_id=workspace.id)
    weights = store.models.folder(damaged) / "weights.onnx"
    weights.unlink()  # packages of the same content share their files
    weights.write_bytes(b"nonsense")
    answer = client.post("/damaged/1", params={"api_key": key}, content=png)
    assert answer.status_code == 500
    assert answer.json() == {"message": "Model package is broken."}
    assert client.post("/colours/1", params={"api_key": key}, content=png).status_code == 200


def test_a_full_queue_is_429_at_once(start, key, png) -> None:
    client = start(http_api_threadpool_workers=1, max_waiting_requests=0)
    with client.app.state.services.work.place("colours/1"):
        answer = client.post("/colours/1", params={"api_key": key}, content=png)
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "1"
    client.app.state.services.work._accepted = 0
    assert client.post("/colours/1", params={"api_key": key}, content=png).status_code == 200
