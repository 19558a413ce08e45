"""A model package whose answers are known: pixels are red, green, blue or background."""

import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from atrous.domain.classes import ClassTable
from atrous.domain.geometry import Size
from atrous.domain.recipes import PreprocessRecipe
from atrous.packages.directory import write_package

CLASS_NAMES = ("background", "red", "green", "blue")
SIZE = Size(height=60, width=80)
FIGURES = {
    "miou": 0.875,
    "classes": [{"name": "red", "iou": 0.9, "precision": 0.95, "recall": None, "pixels": 600}],
}
SHARPNESS = 20.0  # of the logits: probabilities are 0 or 1 but for rounding
BACKGROUND_LOGIT = 0.3 * SHARPNESS


def write_colour_package(folder: Path, **recipe: object) -> Path:
    """Write a package whose network is one 1x1 convolution over red, green and blue (0..1)."""
    colours = SHARPNESS * np.array([[1, -0.5, -0.5], [-0.5, 1, -0.5], [-0.5, -0.5, 1]])
    kernel = np.vstack([np.zeros((1, 3)), colours]).reshape(4, 3, 1, 1).astype(np.float32)
    bias = np.array([BACKGROUND_LOGIT, 0, 0, 0], np.float32)
    shape = [1, 3, SIZE.height, SIZE.width]
    graph = helper.make_graph(
        [helper.make_node("Conv", ["image", "kernel", "bias"], ["logits"])],
        "colours",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 4, *shape[2:]])],
        [numpy_helper.from_array(kernel, "kernel"), numpy_helper.from_array(bias, "bias")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    values = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0), **recipe}
    with tempfile.TemporaryDirectory() as temporary:
        weights = Path(temporary) / "weights.onnx"
        onnx.save(model, weights)
        write_package(
            folder,
            weights=weights,
            classes=ClassTable(CLASS_NAMES),
            preprocess=PreprocessRecipe(size=SIZE, **values),  # type: ignore[arg-type]
            manifest={"architecture": "colours", "metrics": {"test": FIGURES}},
        )
    return folder


def draw_picture() -> tuple[np.ndarray, np.ndarray]:
    """An RGB picture of the network's input size, and the label map that is its right answer."""
    label_map = np.zeros((SIZE.height, SIZE.width), np.uint8)
    label_map[5:25, 10:40] = 1
    label_map[30:55, 5:30] = 2
    label_map[20:50, 45:75] = 3
    palette = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8)
    return palette[label_map], label_map


if __name__ == "__main__":
    write_colour_package(Path(sys.argv[1]))
