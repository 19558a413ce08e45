"""Trainings, and the models that came of them, as the JSON that clients read."""

from typing import Any

from atrous.store.projects import Project
from atrous.store.trainings import Training
from atrous.store.versions import Version

# Clients look for `sem` in it to know that a model is of semantic segmentation.
REPORTED_ENDING = "-sem"
STATUSES = {
    "queued": "training",  # clients wait while they read one of these
    "running": "training",
    "finished": "finished",
    "failed": "failed",
    "cancelled": "failed",  # a client that reads another word waits for ever
}


def describe_training(project: Project, version: Version, training: Training) -> dict[str, Any]:
    """A training as lists show it."""
    return {
        "id": training.id,
        "trainingId": training.id,
        "versionId": str(version.number),
        "status": STATUSES[training.state],
        "start": training.started_at or training.created_at,
        "end": training.finished_at,
        "jobType": "train",
        "modelType": model_type_of(training),
        "modelGroup": None,
        "modelIds": _model_ids(training),
        "progress": training.progress.get("fraction", 0.0),
        **({"error": training.error} if training.error else {}),
    }


def describe_results(training: Training) -> dict[str, Any]:
    """A training with its models, which are there once it is finished."""
    models = [
        {
            "modelId": model_id,
            "modelType": model_type_of(training),
            "metrics": {"mIoU": training.result.get("miou")},
        }
        for model_id in _model_ids(training)
    ]
    return {
        "trainingId": training.id,
        "status": STATUSES[training.state],
        "modelType": model_type_of(training),
        "modelGroup": None,
        "modelCount": len(models),
        "models": models,
    }


def describe_state(training: Training, origin: str) -> dict[str, Any]:
    """What a version says of its last training: `train`, `models` and, once there is one, `model`.

    Clients of different age look at different ones of these.
    """
    status = STATUSES[training.state]
    if status == "failed":
        return {"train": {"status": status, "error": training.error or training.state}}
    models = {"roboflow-train": {"epochs": _epochs(training)}}
    if status == "training":
        fraction = training.progress.get("fraction", 0.0)
        return {"train": {"status": status, "progress": fraction}, "models": models}
    model_id, miou = training.result["model_id"], training.result.get("miou")
    model = {
        "id": model_id,
        "endpoint": f"{origin}/{model_id}",
        "map": f"{100 * (miou or 0):.1f}",
        "mIoU": miou,
        "modelType": model_type_of(training),
    }
    return {
        "train": {"status": status, "model": model, "results": {"mIoU": miou}},
        "models": models,
        "model": model,
    }


def model_type_of(training: Training) -> str:
    """The type as clients must read it: `deeplabv3plus-sem`."""
    return training.model_type + REPORTED_ENDING


def _model_ids(training: Training) -> list[str]:
    return [training.result["model_id"]] if training.state == "finished" else []


def _epochs(training: Training) -> list[dict[str, Any]]:
    """The epoch in work; the figure is the best one so far, under the names that clients know."""
    progress = training.progress
    if "epoch" not in progress:
        return []
    miou = float(progress.get("miou") or 0.0)
    loss = float(progress.get("loss") or 0.0)
    epoch = {"epoch": int(progress["epoch"]), "mAP": miou, "mIoU": miou}
    return [{**epoch, "class_loss": loss, "box_loss": 0, "obj_loss": 0}]
