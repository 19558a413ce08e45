import inspect

from pydantic import BaseModel

from atrous.server.platform import answer_schemas
from atrous.server.platform.answer_schemas import (
    Announced,
    Batches,
    Generating,
    JobStarted,
    OneBatch,
    Restored,
    SearchResults,
    Succeeded,
    TrainingStarted,
    Uploaded,
    WhoseKey,
    ZipTask,
    answered_by,
)


def fits(answer, model: type[BaseModel]) -> dict:
    """An answer's body, which holds what its model describes and nothing else."""
    assert answer.status_code == 200, answer.text
    body = answer.json()
    model.model_validate(body, strict=True)
    assert set(body) <= set(model.model_fields), model.__name__
    return body


def test_answers_are_as_described(api, labelled, generate, made) -> None:
    generate()
    fits(api.post("/", {}), WhoseKey)
    fits(api.upload(made.png_of(9), "9.png"), Uploaded)
    assert fits(api.upload(made.png_of(9), "9.png"), Uploaded)["duplicate"] is True
    fits(api.post(f"/default/images/{labelled[0]}/metadata", {"addTags": ["wet"]}), Succeeded)
    fits(api.post("/default/roads/search", {"limit": 2}), SearchResults)
    found = fits(api.post("/default/search/v1", {"query": "project:roads *"}), SearchResults)
    assert found["total"] == 4
    [batch] = fits(api.get("/default/roads/batches"), Batches)["batches"]
    fits(api.get(f"/default/roads/batches/{batch['id']}"), OneBatch)
    task = fits(api.post("/default/roads/upload/zip", {}), Announced)["taskId"]
    fits(api.get(f"/default/upload/zip/{task}"), ZipTask)
    fits(api.post("/default/roads/generate", {}), Generating)
    fits(api.post("/default/roads/1/train", {}), TrainingStarted)
    started = fits(api.post("/default/roads/jobs", {"version": 1}), JobStarted)
    wanted = {"trainingId": started["trainingId"]}
    fits(api.post("/default/roads/1/train/cancel", wanted), Succeeded)
    api.call("DELETE", "/default/roads/2")
    project = api.get("/default/roads").json()["project"]["id"]
    wanted = {"type": "version", "id": "2", "parentId": project}
    fits(api.post("/default/trash/restore", wanted), Restored)


def test_every_model_is_described_in_words() -> None:
    for model in vars(answer_schemas).values():
        if inspect.isclass(model) and issubclass(model, BaseModel) and model is not BaseModel:
            assert answered_by(model)[200]["description"].endswith(".")
