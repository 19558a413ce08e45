"""Evaluations as the JSON that clients read; all figures are in pixels, 0 to 1."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from atrous.server.platform.training_descriptions import REPORTED_ENDING
from atrous.store.evaluations import Evaluation
from atrous.store.workspaces import Workspace

STATUSES = {
    "queued": "running",  # the words that clients filter by
    "running": "running",
    "finished": "done",
    "failed": "failed",
    "cancelled": "failed",
}
WEAK_IOU = 0.5  # of a class, below which it is named in the recommendations
RARE_SHARE = 0.01  # of the labelled pixels, below which a class is called rare
FRONTIER = ("mIoU", "precision", "recall", "f1")


@dataclass(frozen=True)
class Wish:
    """What a request asks of a panel; `split` may be `all` where the panel knows it."""

    split: str
    confidence: int | None
    limit: int
    offset: int


def describe_evaluation(workspace: Workspace, evaluation: Evaluation) -> dict[str, Any]:
    """An evaluation as lists show it."""
    slug = f"{evaluation.project}-{evaluation.version}-{evaluation.model_type}-t{evaluation.run}"
    status = STATUSES[evaluation.state]
    summary = {"summary": summary_of(evaluation)} if status == "done" else {}
    return {
        "evalId": evaluation.id,
        "status": status,
        "project": evaluation.project,
        "versionId": str(evaluation.version),
        "modelId": f"{workspace.slug}/{slug}",
        "slug": slug,
        "modelType": evaluation.model_type + REPORTED_ENDING,
        "trainingId": evaluation.training_id,
        "createdAt": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(evaluation.created_at)),
        **({"error": evaluation.error} if evaluation.error else {}),
        **summary,
    }


def summary_of(evaluation: Evaluation) -> dict[str, Any]:
    """The figures of the test split, or of what there is."""
    splits = evaluation.result["splits"]
    split = next(name for name in ("test", "valid", "train") if name in splits)
    return {"mAP": None, "split": split, **overall(splits[split])}


def overall(figures: dict[str, Any]) -> dict[str, Any]:
    """Mean IoU and pixel accuracy, and the means over the classes of the other figures."""
    classes = figures["classes"]
    return {
        "mIoU": figures["miou"],
        "pixelAccuracy": figures["pixel_accuracy"],
        **{name: mean_of([each.get(name) for each in classes]) for name in FRONTIER[1:]},
    }


def mean_of(values: Sequence[float | None]) -> float | None:
    """The mean of what is defined.

    >>> mean_of([0.5, None, 1.0]), mean_of([None])
    (0.75, None)
    """
    defined = [value for value in values if value is not None]
    return sum(defined) / len(defined) if defined else None


def class_entries(figures: dict[str, Any]) -> list[dict[str, Any]]:
    """A row per class."""
    return [
        {
            "className": entry["name"],
            "iou": entry["iou"],
            "precision": entry["precision"],
            "recall": entry["recall"],
            "f1": entry.get("f1"),
            "optimalThreshold": entry.get("best_threshold"),
            "boundaryIou": entry.get("boundary_iou"),
            "pixels": entry["pixels"],
        }
        for entry in figures["classes"]
    ]


def map_results(evaluation: Evaluation, wish: Wish) -> dict[str, Any]:
    """The figures of every split, and of its classes."""
    return {
        "taskType": "semantic-segmentation",
        "splits": {
            name: {
                **overall(figures),
                "images": figures["photos"],
                "classes": class_entries(figures),
            }
            for name, figures in evaluation.result["splits"].items()
        },
    }


def confidence_sweep(evaluation: Evaluation, wish: Wish) -> dict[str, Any]:
    """Figures by threshold, and the threshold at which the mean IoU is highest."""
    figures = evaluation.result["splits"][wish.split]
    sweep = [
        {
            "confidence": entry["confidence"],
            "mIoU": entry["miou"],
            **{name: entry[name] for name in FRONTIER[1:]},
        }
        for entry in figures["sweep"]
    ]
    recommended = figures.get("recommended_parameters", {})
    best = recommended.get("confidence")
    return {
        "split": wish.split,
        "sweep": sweep,
        "optimalConfidence": None if best is None else 100 * best,
        "optimalConfidenceByClass": recommended.get("per_class_confidence", {}),
    }


def performance_by_class(evaluation: Evaluation, wish: Wish) -> dict[str, Any]:
    """A row per class of one split."""
    figures = evaluation.result["splits"][wish.split]
    return {"split": wish.split, "classes": class_entries(figures)}


def confusion_matrix(evaluation: Evaluation, wish: Wish) -> dict[str, Any]:
    """Pixels by true and by predicted class; each pixel is its most probable class."""
    splits = evaluation.result["splits"]
    chosen = list(splits.values()) if wish.split == "all" else [splits[wish.split]]
    matrices = [figures["confusion_matrix"] for figures in chosen]
    total = [
        [sum(cells) for cells in zip(*rows, strict=True)] for rows in zip(*matrices, strict=True)
    ]
    return {
        "split": wish.split,
        "confidenceThreshold": 0,  # whichever was asked for: counts are kept at this one
        "classes": evaluation.result["class_names"],
        "matrix": total,
        "unit": "pixels",
    }


def image_predictions(evaluation: Evaluation, wish: Wish) -> dict[str, Any]:
    """A page of photos with what was right in each."""
    splits = evaluation.result["splits"]
    chosen = list(splits) if wish.split == "all" else [wish.split]
    photos = [
        {"split": name, **photo} for name in chosen for photo in splits[name]["photo_figures"]
    ]
    page = photos[wish.offset : wish.offset + wish.limit]
    return {
        "split": wish.split,
        "confidenceThreshold": 0,  # as of the confusion matrix
        "total": len(photos),
        "totalImages": len(photos),
        "offset": wish.offset,
        "limit": wish.limit,
        "images": [_photo_entry(photo) for photo in page],
    }


def _photo_entry(photo: dict[str, Any]) -> dict[str, Any]:
    """A photo; its pixels by themselves, and where the client's command line looks for them."""
    pixels = {
        "truePositives": photo["right"],
        "falsePositives": photo["predicted"] - photo["right"],
        "falseNegatives": photo["labelled"] - photo["right"],
    }
    about = {"imageName": photo["name"], "split": photo["split"], "mIoU": photo["miou"]}
    return {**about, **pixels, "stats": pixels, "unit": "pixels"}


def recommendations(evaluation: Evaluation, wish: Wish) -> dict[str, Any]:
    """What would help most: the weak classes, whether they are rare, and the worst photos."""
    figures = evaluation.result["splits"][wish.split]
    labelled = sum(entry["pixels"] for entry in figures["classes"]) or 1
    found = []
    for entry in figures["classes"]:
        iou = entry["iou"]
        if iou is None or iou >= WEAK_IOU:
            continue
        share = entry["pixels"] / labelled
        advice = (
            f"it covers {share:.1%} of the labelled pixels: add photos that show it"
            if share < RARE_SHARE
            else "look at the photos below for labels that differ from each other"
        )
        message = f"class {entry['name']!r} has an IoU of {iou:.2f}; {advice}"
        found.append({"type": "weak_class", "className": entry["name"], "message": message})
    return {
        "split": wish.split,
        "recommendations": found,
        "worstImages": figures.get("worst_photos", []),
    }


def vector_analysis(evaluation: Evaluation, wish: Wish) -> dict[str, Any]:
    """No clusters: this server does not embed photos."""
    return {"clusters": [], "message": "this server makes no embeddings of photos to cluster"}


PANELS: dict[str, Callable[[Evaluation, Wish], dict[str, Any]]] = {
    "map-results": map_results,
    "confidence-sweep": confidence_sweep,
    "performance-by-class": performance_by_class,
    "confusion-matrix": confusion_matrix,
    "image-predictions": image_predictions,
    "recommendations": recommendations,
    "vector-analysis": vector_analysis,
}
PANELS_OF_ALL = ("confusion-matrix", "image-predictions")


def comparison(
    workspace: Workspace, evaluations: Sequence[Evaluation], metric: str
) -> dict[str, Any]:
    """The newest figures of each training's model; the best by the metric is the frontier."""
    newest: dict[str, Evaluation] = {}
    for evaluation in evaluations:  # they come newest first
        if evaluation.state == "finished":
            newest.setdefault(evaluation.training_id, evaluation)
    models = []
    for evaluation in newest.values():
        about = describe_evaluation(workspace, evaluation)
        models.append(
            {
                "modelId": about["modelId"],
                "modelType": about["modelType"],
                "evalId": about["evalId"],
                "metrics": {name: about["summary"].get(name) for name in FRONTIER},
                "medianLatencyMs": None,
                "onFrontier": False,
                "exclusionReason": None,
            }
        )
    measured = [model for model in models if model["metrics"].get(metric) is not None]
    if measured:
        max(measured, key=lambda model: model["metrics"][metric])["onFrontier"] = True
    return {"frontierMetric": metric, "models": models}
