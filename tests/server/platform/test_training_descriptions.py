from dataclasses import replace
from typing import Any

import pytest

from atrous.domain.model_ids import ModelId
from atrous.server.platform.served_models import ServedModel
from atrous.server.platform.training_descriptions import (
    describe_results,
    describe_state,
    describe_training,
    model_type_of,
)
from atrous.store.models import Model
from atrous.store.trainings import Training
from atrous.store.versions import Version

TRAINING = Training(
    id="t" * 32,
    workspace_id="w",
    project_id="p",
    version_id="v",
    job_id="j",
    number=1,
    model_type="deeplabv3plus",
    settings={},
    created_at=5.0,
    stop_asked_at=None,
    state="queued",
    progress={},
    result={},
    error=None,
    started_at=None,
    finished_at=None,
)


SERVED = ServedModel("roads/1", Model(ModelId("roads", 1), "w", "f", {}, 0.0, 1, TRAINING.id))


def state(**changes: Any) -> dict[str, Any]:
    return describe_state([replace(TRAINING, **changes)], {TRAINING.id: SERVED}, "http://here")


def test_a_version_without_trainings_says_nothing() -> None:
    assert describe_state([], {}, "http://here") == {}


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
    (first,) = state(state="running", progress={"epoch": 1, "miou": None})["models"][
        "roboflow-train"
    ]["epochs"]
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


def test_the_epochs_that_are_done_are_kept() -> None:
    done = [{"epoch": number, "miou": number / 10, "loss": 1.0} for number in (1, 2)]
    progress = {"epoch": 3, "fraction": 0.3, "miou": 0.2, "loss": 0.4, "epochs": done}
    epochs = state(state="running", progress=progress)["models"]["roboflow-train"]["epochs"]
    assert [(each["epoch"], each["mAP"]) for each in epochs] == [(1, 0.1), (2, 0.2), (3, 0.2)]
    finished = describe_results(replace(TRAINING, progress={**progress, "epoch": 2}), None)
    assert [each["epoch"] for each in finished["epochs"]] == [1, 2]


def test_lists_and_results() -> None:
    version = Version("v", "w", "p", 1, "n", 0, (), {}, {}, "ready", 1, {}, 0.0, 1.0, None)
    finished = replace(TRAINING, state="finished", result={"model_id": "roads/1", "miou": 0.5})
    listed = describe_training(version, finished, SERVED)
    assert listed["id"] == listed["trainingId"] == "t" * 32
    assert (listed["versionId"], listed["modelIds"]) == ("1", ["roads/1"])
    assert "sem" in model_type_of(finished)
    results = describe_results(finished, SERVED)
    assert results["models"][0]["metrics"] == {"mIoU": 0.5}
    assert describe_results(finished, None)["models"] == []  # it was removed
    assert describe_results(TRAINING, SERVED)["models"] == []
