import pytest

from atrous.datasets.preparation import read_preparation
from atrous.jobs.dataset_child import run
from atrous.server.platform.training_routes import unreplayed

PATH = "/default/roads/1"


@pytest.fixture
def generate(api, labelled, store):
    def make(**steps) -> None:
        body = {"preprocessing": steps, "augmentation": {}}
        assert api.post("/default/roads/generate", body).status_code == 200
        job = store.jobs.claim("w", ["generate"])
        store.jobs.finish(job.id, "w", run(job, "w", store))

    return make


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


def test_a_finished_training_has_its_model(api, generate, store) -> None:
    generate()
    created = api.post(f"{PATH}/v2/trainings", {"modelType": "deeplabv3plus"}).json()
    assert {"trainingId", "status", "jobId"} <= set(created)
    job = store.jobs.claim("w", ["train-version"])
    store.jobs.finish(job.id, "w", {"model_id": "roads/1", "miou": 0.5})
    for params in ({}, {"trainingId": created["trainingId"]}):
        results = api.get(f"{PATH}/v2/trainings/get", params=params).json()
        assert results["models"] == [
            {"modelId": "roads/1", "modelType": "deeplabv3plus-sem", "metrics": {"mIoU": 0.5}}
        ]
    (version,) = api.get("/default/roads").json()["versions"]
    assert version["model"]["id"] == "roads/1"
    assert version["train"]["results"] == {"mIoU": 0.5}


def test_a_version_has_one_training_unless_it_failed(api, generate, store) -> None:
    generate()
    api.post(f"{PATH}/train", {})
    assert api.post(f"{PATH}/train", {}).status_code == 409
    job = store.jobs.claim("w", ["train-version"])
    store.jobs.fail(job.id, "w", "out of memory")
    assert api.get(PATH).json()["version"]["train"]["error"] == "out of memory"
    assert api.post(f"{PATH}/train", {}).status_code == 200
    assert api.get(f"{PATH}/v2/trainings/get").status_code == 409
    assert len(api.get(f"{PATH}/v2/trainings").json()["trainings"]) == 2


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


@pytest.mark.parametrize(
    "body",
    [{"modelType": "yolov8"}, {"epochs": "x"}, {"checkpoint": "coco"}, {"trainRecipe": {"a": 1}}],
)
def test_wishes_that_can_not_be_fulfilled(api, generate, body) -> None:
    generate()
    assert api.post(f"{PATH}/train", body).status_code == 400


def test_steps_that_serving_can_not_repeat(api, generate) -> None:
    generate(grayscale=True)
    answer = api.post(f"{PATH}/train", {})
    assert answer.status_code == 400
    assert "grayscale" in answer.json()["error"]["message"]
    steps = read_preparation(
        {
            "tile": {"rows": 2, "columns": 2},
            "contrast": {"type": "Contrast Stretching"},
            "static-crop": {"x_min": 0, "x_max": 50, "y_min": 0, "y_max": 50},
            "resize": {"width": 64, "height": 64, "format": "Fit (black edges) in"},
        },
        {},
    )
    assert len(unreplayed(steps)) == 4
    assert unreplayed(read_preparation({"resize": {"width": 64, "height": 64}}, {})) == []
