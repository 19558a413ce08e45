import numpy as np

from atrous.domain.predictions import Prediction
from atrous.server.inference.responses import (
    registry_body,
    segmentation_body,
    with_flat_copies,
)
from atrous.server.loaded_models import ListedModel


def test_body_field_by_field(read_mask) -> None:
    label_map = np.array([[0, 2], [2, 254], [0, 0]], np.uint8)
    confidence = np.array([[1.0, 0.5], [0.999, 0.25], [0.0, 0.1]], np.float32)
    body = segmentation_body(
        Prediction(label_map, confidence), {"0": "background"}, inference_id="i", seconds=0.5
    )
    assert body["image"] == {"width": 2, "height": 3}
    assert body["inference_id"] == "i"
    assert body["time"] == 0.5
    assert body["predictions"]["present_class_ids"] == [0, 2, 254]
    assert np.array_equal(read_mask(body["predictions"]["segmentation_mask"]), label_map)
    levels = (confidence * 255).astype(np.uint8)  # truncated
    assert np.array_equal(read_mask(body["predictions"]["confidence_mask"]), levels)
    flat = with_flat_copies(body)
    assert flat["class_map"] is body["predictions"]["class_map"]
    assert "segmentation_mask" not in body


def test_registry_echoes_ids() -> None:
    body = registry_body([ListedModel("a/1", "openvino", "cpu", "bf16")])
    [entry] = body["models"]
    assert entry["model_id"] == "a/1"
    assert (entry["engine"], entry["device"], entry["precision"]) == ("openvino", "cpu", "bf16")
    absent = ("vram_bytes", "request_aliases", "request_paths")  # the peer has them, or null
    assert [entry[name] for name in absent] == [None] * 3
    assert [body[name] for name in ("total_vram_bytes", "gpu_memory_used")] == [None] * 2
