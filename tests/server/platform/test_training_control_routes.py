import pytest

PATH = "/default/roads/1"


@pytest.fixture
def running(api, generate, store) -> str:
    """A training that a worker is at."""
    generate()
    training_id = api.post(f"{PATH}/train", {}).json()["trainingId"]
    assert store.jobs.claim("w", ["train-version"])
    return training_id


@pytest.mark.parametrize("path", ["/train/stop", "/v2/trainings/stop"])
def test_a_stop_is_told_to_the_worker(api, running, store, path) -> None:
    assert api.post(PATH + path, {}).json() == {"success": True}
    assert store.trainings.is_asked_to_stop(running)
    (listed,) = api.get(f"{PATH}/v2/trainings").json()["trainings"]
    assert (listed["status"], listed["requestedStop"]) == ("training", True)


@pytest.mark.parametrize("path", ["/train/cancel", "/v2/trainings/cancel"])
def test_a_cancelled_training_is_over(api, running, store, path) -> None:
    body = {"trainingId": running, "continueIfNoRefund": True}
    assert api.post(PATH + path, body).json() == {"success": True}
    (listed,) = api.get(f"{PATH}/v2/trainings").json()["trainings"]
    assert (listed["status"], listed["state"]) == ("failed", "cancelled")
    assert api.get(PATH).json()["version"]["train"]["status"] == "failed"
    assert api.post(PATH + path, body).status_code == 409
    assert api.post(PATH + path.replace("cancel", "stop"), body).status_code == 409


def test_of_several_the_running_one_is_meant(api, generate, train, store) -> None:
    generate()
    train()
    api.post(f"{PATH}/train", {})
    assert api.post(f"{PATH}/v2/trainings/cancel", {}).status_code == 200
    for _ in range(2):
        api.post(f"{PATH}/train", {})
    assert api.post(f"{PATH}/v2/trainings/cancel", {}).status_code == 409


def test_a_deleted_training_hands_its_name_on(api, generate, train) -> None:
    generate()
    first, second = train(), train()
    answer = api.call("DELETE", f"{PATH}/v2/trainings/{first}").json()
    assert answer == {
        "deleted": True,
        "type": "training",
        "trash": True,
        "trainingId": first,
        "versionAliasAction": "repointed",
        "versionAliasModel": "roads-1-deeplabv3plus-t2",
    }
    (listed,) = api.get(f"{PATH}/v2/trainings").json()["trainings"]
    assert listed["modelIds"] == ["roads/1"]
    gone = api.call("DELETE", f"{PATH}/v2/trainings/{second}").json()
    assert (gone["versionAliasAction"], gone["versionAliasModel"]) == ("deleted", None)
    assert api.post("/roads/1", {}).status_code == 404
    assert "model" not in api.get(PATH).json()["version"]


def test_a_running_training_is_not_deleted(api, running) -> None:
    assert api.call("DELETE", f"{PATH}/v2/trainings/{running}").status_code == 409


@pytest.mark.parametrize("scope", ["infer"])
def test_these_need_the_scope_write(key_with, running, scope) -> None:
    reader = key_with(scope)
    for path in ("/train/stop", "/v2/trainings/cancel"):
        assert reader.post(PATH + path, {}).status_code == 403
    assert reader.call("DELETE", f"{PATH}/v2/trainings/{running}").status_code == 403
