"""Trainings, and the models that came of them, as the JSON that clients read."""

from collections.abc import Mapping, Sequence
from typing import Any

from atrous.server.platform.served_models import ServedModel
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


def describe_training(
    version: Version, training: Training, served: ServedModel | None
) -> dict[str, Any]:
    """A training as lists show it."""
    return {
        "id": training.id,
        "trainingId": training.id,
        "versionId": str(version.number),
        "number": training.number,
        "status": STATUSES[training.state],
        "state": training.state,
        "requestedStop": training.stop_asked_at is not None,
        "start": training.started_at or training.created_at,
        "end": training.finished_at,
        "jobType": "train",
        "modelType": model_type_of(training),
        "modelGroup": None,
        "modelIds": _model_ids(training, served),
        "progress": training.progress.get("fraction", 0.0),
        **({"error": training.error} if training.error else {}),
    }


def describe_results(training: Training, served: ServedModel | None) -> dict[str, Any]:
    """A training with its epochs and its models, which are there once it is finished."""
    models = [
        {
            "modelId": model_id,
            "modelType": model_type_of(training),
            "metrics": {"mIoU": training.result.get("miou")},
        }
        for model_id in _model_ids(training, served)
    ]
    return {
        "id": training.id,
        "trainingId": training.id,
        "jobType": "train",
        "status": STATUSES[training.state],
        "state": training.state,
        "modelType": model_type_of(training),
        "modelGroup": None,
        "modelCount": len(models),
        "modelIds": [model["modelId"] for model in models],
        "models": models,
        "epochs": _epochs(training),
        **({"error": training.error} if training.error else {}),
    }


def describe_state(
    trainings: Sequence[Training], models: Mapping[str | None, ServedModel], origin: str
) -> dict[str, Any]:
    """What a version says of its trainings: `train` and `models` are of the last one, and `model`
    is the one that `project/version` means, once there is one.

    Clients of different age look at different ones of these.
    """
    if not trainings:
        return {}
    last = trainings[-1]
    there = [each for each in trainings if _model_ids(each, models.get(each.id))]
    model = _model(there[0], models[there[0].id], origin) if there else None
    described: dict[str, Any] = {"model": model} if model else {}
    status = STATUSES[last.state]
    if status == "failed":
        return {"train": {"status": status, "error": last.error or last.state}, **described}
    described["models"] = {"roboflow-train": {"epochs": _epochs(last)}}
    if status == "training":
        fraction = last.progress.get("fraction", 0.0)
        return {"train": {"status": status, "progress": fraction}, **described}
    own = _model(last, models[last.id], origin) if last in there else None
    results = {"mIoU": last.result.get("miou")}
    train = {"status": status, "results": results, **({"model": own} if own else {})}
    return {"train": train, **described}


def _model(training: Training, served: ServedModel, origin: str) -> dict[str, Any]:
    miou = training.result.get("miou")
    return {
        "id": served.id,
        "endpoint": f"{origin}/{served.id}",
        "map": f"{100 * (miou or 0):.1f}",
        "mIoU": miou,
        "modelType": model_type_of(training),
    }


def model_type_of(training: Training) -> str:
    """The type as clients must read it: `deeplabv3plus-sem`."""
    return training.model_type + REPORTED_ENDING


def _model_ids(training: Training, served: ServedModel | None) -> list[str]:
    return [served.id] if served and training.state == "finished" else []


def _epochs(training: Training) -> list[dict[str, Any]]:
    """The epochs that are done, and the one in work with the best figure so far, under the names
    that clients know.
    """
    progress = training.progress
    rows = [dict(row) for row in progress.get("epochs", [])]
    done = {row["epoch"] for row in rows}
    if "epoch" in progress and int(progress["epoch"]) not in done:
        rows.append({name: progress.get(name) for name in ("epoch", "miou", "loss")})
    return [_epoch(row) for row in rows]


def _epoch(row: Mapping[str, Any]) -> dict[str, Any]:
    miou = float(row.get("miou") or 0.0)
    epoch = {"epoch": int(row["epoch"]), "mAP": miou, "mIoU": miou}
    return {**epoch, "class_loss": float(row.get("loss") or 0.0), "box_loss": 0, "obj_loss": 0}
