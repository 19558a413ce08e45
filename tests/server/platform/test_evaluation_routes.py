import pytest

PATH = "/default/model-evals"


@pytest.fixture
def waiting(api, generate, train, store) -> str:
    """The id of an evaluation that nobody has begun."""
    generate()
    train()
    body = {"project": "default/roads", "version": 1}
    created = api.post(PATH, body).json()
    assert (created["status"], created["versionId"]) == ("running", "1")
    evaluation_id: str = created["evalId"]
    return evaluation_id


@pytest.fixture
def done(waiting, store, evaluation_result) -> str:
    job = store.jobs.claim("w", ["evaluate"])
    store.jobs.finish(job.id, "w", evaluation_result)
    return waiting


def panel(api, done, name, **params):
    answer = api.get(f"{PATH}/{done}/{name}", params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_evaluations_are_listed(api, done) -> None:
    (listed,) = api.get(PATH).json()["evals"]
    assert listed == api.get(f"{PATH}/{done}").json()
    assert (listed["status"], listed["project"]) == ("done", "roads")
    assert listed["modelId"] == "default/roads-1-deeplabv3plus-t1"
    assert listed["summary"] == {
        "mAP": None,
        "split": "test",
        "mIoU": 0.3,
        "pixelAccuracy": 0.9,
        "precision": 0.65,
        "recall": 0.9,
        "f1": None,
    }
    for narrow in ({"project": "x"}, {"version": 2}, {"model": "a/b"}, {"status": "failed"}):
        assert api.get(PATH, params=narrow).json()["evals"] == []
    wide = {"project": "roads", "version": 1, "model": listed["modelId"], "status": "done"}
    assert len(api.get(PATH, params=wide).json()["evals"]) == 1


def test_a_filter_looks_at_all_of_them(api, done, store) -> None:
    project = store.projects.get(store.workspaces.default().id, "roads")
    (training,) = store.trainings.list(store.versions.get(project, 1))
    for _ in range(201):
        store.evaluations.create(training)
    (found,) = api.get(PATH, params={"status": "done"}).json()["evals"]
    assert found["evalId"] == done
    assert len(api.get(PATH, params={"status": "running", "limit": 7}).json()["evals"]) == 7


def test_panels(api, done) -> None:
    splits = panel(api, done, "map-results")["splits"]
    assert {name: figures["mIoU"] for name, figures in splits.items()} == {
        "valid": 0.4,
        "test": 0.3,
    }
    (entry,) = panel(api, done, "confidence-sweep")["sweep"]
    assert (entry["confidence"], entry["mIoU"]) == (0, 0.4)
    assert panel(api, done, "confidence-sweep")["optimalConfidence"] == 35
    rows = panel(api, done, "performance-by-class", split="valid")["classes"]
    assert [row["className"] for row in rows] == ["background", "road"]
    (advice,) = panel(api, done, "recommendations")["recommendations"]
    assert advice["className"] == "road"
    assert panel(api, done, "vector-analysis")["clusters"] == []


def test_pixels_of_one_split_and_of_all(api, done) -> None:
    one = panel(api, done, "confusion-matrix", split="valid", confidence=50)
    assert (one["matrix"], one["unit"]) == ([[900, 90], [4, 1]], "pixels")
    both = panel(api, done, "confusion-matrix", split="all")
    assert both["matrix"] == [[1800, 180], [8, 2]]
    page = panel(api, done, "image-predictions", split="all", limit=3, offset=1)
    assert (page["total"], len(page["images"])) == (4, 3)
    assert page["images"][0]["falseNegatives"] == 2
    # where the client's command line looks for them
    assert (page["totalImages"], page["confidenceThreshold"]) == (4, 0)
    stats = {"truePositives": 3, "falsePositives": 1, "falseNegatives": 2}
    assert page["images"][0]["stats"] == stats


def test_models_are_compared(api, done) -> None:
    params = {"project": "roads", "version": 1}
    compared = api.get(f"{PATH}/compare", params=params).json()
    (model,) = compared["models"]
    assert (compared["frontierMetric"], model["onFrontier"]) == ("mIoU", True)
    assert model["metrics"]["mIoU"] == 0.3
    missing = api.get(f"{PATH}/compare", params={"project": "x", "version": 1})
    assert missing.status_code == 404


@pytest.mark.parametrize(
    ("path", "params", "status", "code"),
    [
        ("/map-results", {"split": "train"}, 400, "invalid_split"),
        ("/performance-by-class", {"split": "all"}, 400, "invalid_split"),
        ("/confusion-matrix", {"confidence": "101"}, 400, "invalid_confidence"),
        ("/confusion-matrix", {"confidence": "half"}, 400, "invalid_confidence"),
        ("/nothing", {}, 404, "panel_not_found"),
    ],
)
def test_refusals_are_flat(api, done, path, params, status, code) -> None:
    answer = api.get(f"{PATH}/{done}{path}", params=params)
    assert (answer.status_code, answer.json()["error"]) == (status, code)
    assert answer.json()["message"]


def test_what_is_not_there_or_not_done(api, stranger, waiting, store) -> None:
    answer = api.get(f"{PATH}/{waiting}/map-results")
    assert (answer.status_code, answer.json()["error"]) == (409, "model_eval_not_done")
    for client, path in ((api, f"{PATH}/absent"), (stranger, f"/other/model-evals/{waiting}")):
        answer = client.get(path)
        assert (answer.status_code, answer.json()["error"]) == (404, "model_eval_not_found")
    assert stranger.get(PATH).status_code == 404
    job = store.jobs.claim("w", ["evaluate"])
    store.jobs.fail(job.id, "w", "no photos")
    failed = api.get(f"{PATH}/{waiting}").json()
    assert (failed["status"], failed["error"]) == ("failed", "no photos")


def test_only_models_are_evaluated(api, generate, key_with) -> None:
    generate()
    body = {"project": "roads", "version": 1}
    assert api.post(PATH, body).status_code == 404
    assert api.post(PATH, {"project": "roads"}).status_code == 404
    assert key_with("infer").post(PATH, body).status_code == 403
