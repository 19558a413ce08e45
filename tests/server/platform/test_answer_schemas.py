"""Every answer of success that the document describes is given once, and compared with it.

The comparing is done by the client itself, in all tests: see `tests/server/described_answers.py`.
"""

import inspect

import pytest
from pydantic import BaseModel

from atrous.server.platform import (
    answer_schemas,
    evaluation_schemas,
    project_schemas,
    training_schemas,
)
from atrous.server.platform.answer_schemas import answered_by, answered_by_file

ROADS = "/default/roads"
VERSION = f"{ROADS}/1"


def ok(answer, status: int = 200):
    assert answer.status_code == status, answer.text
    is_json = answer.headers.get("content-type") == "application/json"
    return answer.json() if is_json else answer


def path_of(link: str) -> str:
    return link.removeprefix("http://testserver")


def ask_of_photos(api, photo: str, made) -> None:
    ok(api.post("/", {}))
    ok(api.get("/default"))
    ok(api.get(ROADS))
    ok(api.get(f"{ROADS}/health"))
    ok(api.get(f"/query/cliAuthToken/{api.key}"))
    ok(api.call("POST", f"{ROADS}/upload", content=made.png_of(9)))
    ok(api.call("POST", f"{ROADS}/upload", content=made.png_of(9)))
    ok(api.post(f"/default/images/{photo}/metadata", {"addTags": ["wet"]}))
    everything = list(answer_schemas.FoundPhoto.model_fields)
    ok(api.post(f"{ROADS}/search", {"limit": 2, "fields": everything}))
    ok(api.post("/default/search/v1", {"query": "project:roads *", "pageSize": 1}))
    ok(api.get(f"{ROADS}/images/{photo}"))
    batch = ok(api.get(f"{ROADS}/batches"))["batches"][0]
    ok(api.get(f"{ROADS}/batches/{batch['id']}"))
    mask = made.png_mask(made.mask_of(0))
    overwrite = {"overwrite": "true"}
    ok(api.call("POST", f"{ROADS}/images/{photo}/mask", content=mask, params=overwrite))
    labels = {"annotationFile": made.coco_of({"0.png": made.mask_of(0)})}
    ok(api.post(f"{ROADS}/annotate/{photo}", labels, params=overwrite))
    link = path_of(ok(api.get(f"{ROADS}/images/{photo}"))["image"]["urls"]["original"])
    ok(api.http.get(link))
    ok(api.http.get(link, headers={"Range": "bytes=0-1"}), 206)
    ok(api.call("DELETE", "/default/images", json={"images": [photo]}))
    ok(api.call("DELETE", f"{ROADS}/images", json={"images": []}), 204)


def ask_of_zips(api, work_off, made) -> None:
    announced = ok(api.post(f"{ROADS}/upload/zip", {}))
    files = {"a.png": made.png_of(7), "broken.png": b"x"}
    ok(api.http.put(path_of(announced["url"]), content=made.zipped(files)))
    work_off("import-zip")
    task = ok(api.get(f"/default/upload/zip/{announced['taskId']}"))
    assert task["result"]["faultCount"] == 1
    asked = ok(api.post("/default/search/export", {"query": "*"}), 202)
    work_off("export-search")
    assert ok(api.get(f"/default/search/export/{asked['link']}"))["ready"]
    updates = [{"imageId": "absent", "addTags": ["wet"]}]
    task = path_of(ok(api.post("/default/images/metadata", {"updates": updates}), 202)["url"])
    assert ok(api.get(task))["status"] == "queued"
    work_off("change-photos")
    assert ok(api.get(task))["result"]["failed"] == 1


def ask_of_versions(api, work_off) -> None:
    ok(api.post(f"{ROADS}/generate", {"preprocessing": {"remap": {"x": "y"}}}))
    ok(api.get(VERSION))
    ok(api.get(f"{VERSION}/coco"), 202)
    work_off("export")
    ok(api.get(f"{VERSION}/coco"))


def ask_of_trainings(api, store, package, made) -> None:
    """Of a version with one training that has a model."""
    ok(api.get(VERSION))
    ok(api.get(f"{VERSION}/v2/trainings"))
    ok(api.get(f"{VERSION}/v2/trainings/get"))
    ok(api.get(f"{VERSION}/training/results"))
    ok(api.get(f"{VERSION}/v2/trainings/recipe"))
    (model,) = ok(api.get(f"{ROADS}/models"))
    ok(api.get(f"/models/{model['url']}"))
    link = ok(api.get(f"{VERSION}/ptFile"))["weightsUrl"]
    ok(api.http.get(path_of(link)))
    ok(api.http.get(path_of(link), headers={"Range": "bytes=0-1"}), 206)
    place = path_of(ok(api.get(f"{VERSION}/uploadModel"))["url"])
    files = {path.name: path.read_bytes() for path in package.iterdir()}
    ok(api.http.put(place, content=made.zipped(files)))
    for ending in ("train/stop", "v2/trainings/stop", "train/cancel", "v2/trainings/cancel"):
        created = ok(api.post(f"{VERSION}/v2/trainings", {}))["trainingId"]
        ok(api.post(f"{VERSION}/{ending}", {"trainingId": created}))
    ok(api.get(VERSION))  # of which the last training was cancelled
    ok(api.call("DELETE", f"{VERSION}/v2/trainings/{created}"))
    ok(api.post(f"{ROADS}/jobs", {"version": 1}))


def ask_of_evaluations(api, store, result) -> None:
    evals = "/default/model-evals"
    created = ok(api.post(evals, {"project": "roads", "version": 1}))["evalId"]
    job = store.jobs.claim("w", ["evaluate"])
    store.jobs.finish(job.id, "w", result)
    ok(api.get(evals))
    ok(api.get(f"{evals}/compare", params={"project": "roads", "version": 1}))
    assert ok(api.get(f"{evals}/{created}"))["summary"]
    assert api.get(f"{evals}/absent").status_code == 404
    for panel in evaluation_schemas.Panel.__args__:
        name = panel.__doc__.split("`")[1]
        ok(api.get(f"{evals}/{created}/{name}"))


def ask_of_the_trash(api) -> None:
    ok(api.call("DELETE", f"{ROADS}/2"))
    (version,) = ok(api.get("/default/trash"))["sections"]["versions"]
    ok(api.post("/default/trash/restore", version))
    ok(api.call("DELETE", ROADS))
    ok(api.get("/default/trash"))


def test_every_answer_is_given_as_it_is_described(
    api, labelled, generate, train, work_off, store, package, made, evaluation_result
) -> None:
    generate()
    train(0.5)
    ask_of_photos(api, labelled[0], made)
    ask_of_zips(api, work_off, made)
    ask_of_versions(api, work_off)
    ask_of_trainings(api, store, package, made)
    ask_of_evaluations(api, store, evaluation_result)
    ask_of_the_trash(api)
    described = api.http.app.state.described
    assert len(described.seen) > 50
    # routes of the platform describe their failures so, and no others
    assert described.not_seen(lambda operation: "4XX" in operation["responses"]) == []


@pytest.mark.parametrize(
    "module", [answer_schemas, evaluation_schemas, project_schemas, training_schemas]
)
def test_every_model_is_described_in_words(module) -> None:
    for model in vars(module).values():
        if inspect.isclass(model) and issubclass(model, BaseModel) and model is not BaseModel:
            assert answered_by(model)[200]["description"].endswith(".")


def test_what_is_no_model_is_described_by_hand() -> None:
    assert answered_by(list[str], 202, "Names.") == {
        202: {"model": list[str], "description": "Names."}
    }
    (answer,) = answered_by_file("A zip.", 206).values()
    assert answer["content"]["application/octet-stream"]["schema"]["format"] == "binary"
