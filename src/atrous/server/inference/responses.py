"""The bodies of answers, field by field as clients read them."""

from collections.abc import Callable
from typing import Any

import pybase64

from atrous.domain.geometry import Size
from atrous.domain.predictions import Prediction
from atrous.masks.png import encode_masks
from atrous.masks.shared_work import share
from atrous.server.loaded_models import ListedModel
from atrous.server.loaded_sam2 import is_sam2

# What registry and add say about a semantic model. The official client asks for the task before
# it infers, and refuses "semantic-segmentation" on its own side; told this, it posts to
# /infer/instance_segmentation, which answers semantic models, and passes the answer through.
REPORTED_TASK = "instance-segmentation"
TRUE_TASK = "semantic-segmentation"
SAM2_TASK = "unsupervised-segmentation"
# What the peer tells of a GPU's memory. Clients may look for the names; nothing is measured here.
GPU_MEMORY = (
    "total_vram_bytes",
    "gpu_memory_used",
    "gpu_memory_total",
    "torch_cuda_allocated",
    "torch_cuda_reserved",
    "torch_cuda_allocator_cache",
    "non_torch_gpu_memory",
)


def segmentation_body(
    prediction: Prediction, class_map: dict[str, str], *, inference_id: str, seconds: float
) -> dict[str, Any]:
    """Give the body for one picture. Masks are 8-bit greyscale PNGs of the picture's size."""
    height, width = prediction.label_map.shape
    size = Size(height, width)
    parts: list[Callable[[], Any]] = [
        lambda: encode_masks(prediction.label_map, prediction.confidence),
        lambda: prediction.present_class_ids,
    ]
    (label_png, confidence_png), ids = share(parts)
    return {
        "inference_id": inference_id,
        "time": seconds,
        "image": {"width": size.width, "height": size.height},
        "predictions": {
            "segmentation_mask": _text(label_png),
            "class_map": class_map,
            "confidence_mask": _text(confidence_png),
            "present_class_ids": ids,
        },
    }


def with_flat_copies(body: dict[str, Any]) -> dict[str, Any]:
    """Add what clients of the hosted route read at the top level."""
    predictions = body["predictions"]
    return {
        **body,
        "segmentation_mask": predictions["segmentation_mask"],
        "class_map": predictions["class_map"],
    }


def registry_body(models: list[ListedModel]) -> dict[str, Any]:
    """Give the body of the model routes. Nulls are sent here, other than elsewhere."""
    return {
        "models": [
            {
                "model_id": model.model_id,
                "task_type": SAM2_TASK if is_sam2(model.model_id) else REPORTED_TASK,
                "true_task_type": SAM2_TASK if is_sam2(model.model_id) else TRUE_TASK,
                "batch_size": None,
                "input_height": None,  # null: a client must not shrink pictures to this
                "input_width": None,
                "vram_bytes": None,
                "request_aliases": None,
                "request_paths": None,
                "engine": model.engine,
                "device": model.device,
                "precision": model.precision,
            }
            for model in models
        ],
        **dict.fromkeys(GPU_MEMORY),
    }


def _text(png: bytes) -> str:
    return pybase64.b64encode_as_string(png)
