import pytest

PATH = "/default/roads/1"
FIRST_SLUG = "default/roads-1-deeplabv3plus-t1"
SECOND_SLUG = "default/roads-1-deeplabv3plus-t2"


@pytest.mark.parametrize(
    ("body", "settings"),
    [
        ({}, {"architecture": "deeplabv3plus"}),
        (
            {"modelType": "deeplabv3plus", "epochs": 3},
            {"architecture": "deeplabv3plus", "epochs": 3},
        ),
        ({"model_type": "deeplabv3-sem", "speed": "fast"}, {"architecture": "deeplabv3"}),
    ],
)
def test_a_training_is_queued(api, generate, store, body, settings) -> None:
    generate(resize={"width": 64, "height": 64})
    answer = api.post(f"{PATH}/train", body, params={"nocache": "true"})
    assert answer.status_code == 200
    assert answer.json()["status"] == "training"
    job = store.jobs.claim("w", ["train-version"])
    assert job is not None
    assert job.payload["settings"] == settings
    assert job.payload["training_id"] == answer.json()["trainingId"]
    listed = api.get(f"{PATH}/v2/trainings").json()["trainings"]
    assert [each["trainingId"] for each in listed] == [answer.json()["trainingId"]]
    assert listed[0]["modelIds"] == []
    version = api.get(PATH).json()["version"]
    assert version["train"]["status"] == "training"


def test_a_finished_training_has_its_model(api, generate, train) -> None:
    generate()
    training_id = train()
    for path in ("/v2/trainings/get", f"/v2/trainings/get?trainingId={training_id}"):
        results = api.get(f"{PATH}{path}").json()
        assert results["models"] == [
            {"modelId": "roads/1", "modelType": "deeplabv3plus-sem", "metrics": {"mIoU": 0.5}}
        ]
    (version,) = api.get("/default/roads").json()["versions"]
    assert version["model"]["id"] == "roads/1"
    assert version["train"]["results"] == {"mIoU": 0.5}
    newest = api.get(f"{PATH}/training/results").json()
    assert (newest["jobType"], newest["modelCount"]) == ("train", 1)


def test_a_version_has_several_trainings_and_models(api, generate, train) -> None:
    generate()
    first, second = train(0.5), train(0.75)
    listed = api.get(f"{PATH}/v2/trainings").json()["trainings"]
    assert [each["trainingId"] for each in listed] == [first, second]
    assert [each["modelIds"] for each in listed] == [["roads/1"], [SECOND_SLUG]]
    assert api.get(f"{PATH}/v2/trainings/get").status_code == 409
    assert api.get(f"{PATH}/training/results").json()["trainingId"] == second
    version = api.get(PATH).json()["version"]
    assert version["model"]["id"] == "roads/1"  # what `project/version` means
    assert version["train"]["model"]["id"] == SECOND_SLUG
    assert version["train"]["results"] == {"mIoU": 0.75}


@pytest.mark.parametrize("model_id", ["roads/1", FIRST_SLUG, SECOND_SLUG])
def test_each_model_predicts_at_once(api, generate, train, png, model_id) -> None:
    generate()
    train()
    train()
    answer = api.call("POST", f"/{model_id}", files={"file": ("a.png", png, "image/png")})
    assert answer.status_code == 200, answer.text
    assert set(answer.json()) >= {"segmentation_mask", "class_map", "predictions"}


def test_a_failed_training_leaves_the_first_model(api, generate, train, store) -> None:
    generate()
    train()
    api.post(f"{PATH}/train", {})
    job = store.jobs.claim("w", ["train-version"])
    store.jobs.fail(job.id, "w", "out of memory")
    version = api.get(PATH).json()["version"]
    assert version["train"] == {"status": "failed", "error": "out of memory"}
    assert version["model"]["id"] == "roads/1"


def test_the_version_may_be_in_the_body(api, generate, store) -> None:
    generate()
    answer = api.post("/default/roads/jobs", {"version": "1", "model_type": "deeplabv3"})
    assert answer.status_code == 200
    job = store.jobs.get(answer.json()["id"])
    assert job.payload["settings"] == {"architecture": "deeplabv3"}
    assert api.post("/default/roads/jobs", {}).status_code == 400
    assert api.post("/default/roads/jobs", {"version": "9" * 5000}).status_code == 400
    assert api.post("/default/roads/jobs", {"version": 7}).status_code == 404


def test_a_checkpoint_is_a_model_of_the_workspace(api, generate, train, store) -> None:
    generate()
    train()
    assert api.post(f"{PATH}/train", {"checkpoint": "roads/1"}).status_code == 200
    job = store.jobs.claim("w", ["train-version"])
    assert job.payload["settings"]["checkpoint"] == "roads/1"
    assert api.post(f"{PATH}/train", {"checkpoint": "other/1"}).status_code == 404


def test_a_recipe_is_described_and_taken(api, generate, store) -> None:
    generate()
    path = f"{PATH}/v2/trainings"
    recipe = api.get(f"{path}/recipe", params={"modelType": "deeplabv3plus"}).json()["template"]
    recipe["hyperparameters"]["flip"] = 0.25
    created = api.post(path, {"modelType": "deeplabv3plus", "trainRecipe": recipe}).json()
    assert {"trainingId", "status", "jobId"} <= set(created)
    assert store.jobs.get(created["jobId"]).payload["settings"]["flip"] == 0.25
    assert api.get(f"{path}/recipe", params={"modelType": "yolo"}).status_code == 400


def test_a_model_of_this_name_is_not_trained_over(api, generate, store, package) -> None:
    generate()
    store.models.publish("roads", package, workspace_id=store.workspaces.default().id, version=1)
    answer = api.post(f"{PATH}/train", {})
    assert answer.status_code == 409
    assert "roads/1" in answer.json()["error"]["message"]


def test_a_version_that_is_not_ready_is_refused(api, labelled) -> None:
    api.post("/default/roads/generate", {"preprocessing": {}, "augmentation": {}})
    assert api.post(f"{PATH}/train", {}).status_code == 409
    assert api.get(f"{PATH}/v2/trainings").json() == {"trainings": []}
    assert api.get(f"{PATH}/v2/trainings/get").status_code == 404
    assert api.get(f"{PATH}/training/results").status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        {"modelType": "yolov8"},
        {"epochs": "x"},
        {"trainRecipe": {"hyperparameters": {"a": 1}}},
        {"epochs": 0},
        {"trainRecipe": {"epochs": 3}},
    ],
)
def test_wishes_that_can_not_be_fulfilled(api, generate, body) -> None:
    generate()
    assert api.post(f"{PATH}/train", body).status_code == 400
