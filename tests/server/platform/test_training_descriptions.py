from dataclasses import replace
from typing import Any

import pytest

from atrous.server.platform.training_descriptions import (
    describe_results,
    describe_state,
    describe_training,
    model_type_of,
)
from atrous.store.trainings import Training

TRAINING = Training(
    id="t" * 32,
    workspace_id="w",
    project_id="p",
    version_id="v",
    job_id="j",
    model_type="deeplabv3plus",
    settings={},
    created_at=5.0,
    state="queued",
    progress={},
    result={},
    error=None,
    started_at=None,
    finished_at=None,
)


def state(**changes: Any) -> dict[str, Any]:
    return describe_state(replace(TRAINING, **changes), "http://here")


def test_a_waiting_training_has_no_epochs() -> None:
    """The client's own rule: `models` is a dict, and `train` is never null."""
    described = state()
    assert described["train"] == {"status": "training", "progress": 0.0}
    assert described["models"] == {"roboflow-train": {"epochs": []}}
    assert "model" not in described


def test_a_running_training_shows_its_epoch() -> None:
    progress = {"epoch": 3, "fraction": 0.3, "miou": 0.6, "loss": 0.4}
    (epoch,) = state(state="running", progress=progress)["models"]["roboflow-train"]["epochs"]
    assert epoch == {
        "epoch": 3,
        "mAP": 0.6,
        "mIoU": 0.6,
        "class_loss": 0.4,
        "box_loss": 0,
        "obj_loss": 0,
    }
    (first,) = state(state="running", progress={"epoch": 1})["models"]["roboflow-train"]["epochs"]
    assert first["mAP"] == 0.0  # not null, which clients can't read


def test_a_finished_training_has_a_model_wherever_clients_look() -> None:
    described = state(state="finished", result={"model_id": "roads/1", "miou": 0.712})
    assert described["train"]["results"] == {"mIoU": 0.712}
    assert described["model"]["endpoint"] == "http://here/roads/1"
    assert described["model"]["map"] == "71.2"
    assert described["train"]["model"] == described["model"]
    assert described["models"]


@pytest.mark.parametrize("over", ["failed", "cancelled"])
def test_what_is_over_without_a_model_is_failed(over: str) -> None:
    described = state(state=over, error="out of memory" if over == "failed" else None)
    assert described["train"]["status"] == "failed"
    assert described["train"]["error"]
    assert "model" not in described


def test_lists_and_results(api, labelled, store) -> None:
    project = store.projects.get(store.workspaces.default().id, "roads")
    version = store.versions.create(project, preprocessing={}, augmentation={}, seed=0)
    finished = replace(TRAINING, state="finished", result={"model_id": "roads/1", "miou": 0.5})
    listed = describe_training(project, version, finished)
    assert listed["id"] == listed["trainingId"] == "t" * 32
    assert (listed["versionId"], listed["modelIds"]) == ("1", ["roads/1"])
    assert "sem" in model_type_of(finished)
    results = describe_results(finished)
    assert results["models"][0]["metrics"] == {"mIoU": 0.5}
    assert describe_results(TRAINING)["models"] == []
