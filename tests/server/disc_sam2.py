"""A SAM 2 package whose answers are known: discs round the clicks, made by real, small networks."""

import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from atrous.sam2.models import Sam2Package, write_sam2_package

SIDE, GRID = 1024, 256  # of the networks' input and of their logits
RADII = (150.0, 60.0, 120.0, 240.0)  # of the four masks, in the input's pixels
SCORES = (0.6, 0.5, 0.9, 0.7)
FAR = 1e9  # squared distance of what is no click on the object
SOFTNESS = 8.0  # input pixels by which the logits fall by one


def write_disc_sam2(folder: Path) -> Sam2Package:
    """Write a package of version 2.1 to a folder called as it is: `hiera_tiny-2.1`."""
    with tempfile.TemporaryDirectory() as temporary:
        encoder, decoder = Path(temporary) / "encoder.onnx", Path(temporary) / "decoder.onnx"
        onnx.save(_encoder(), encoder)
        onnx.save(_decoder(), decoder)
        return write_sam2_package(
            folder,
            encoder=encoder,
            decoder=decoder,
            variant=folder.name.rpartition("-")[0],
            version="2.1",
            facts={},
        )


def expected_disc(x: float, y: float, height: int, width: int, mask: int = 2) -> np.ndarray:
    """The mask round a click: an ellipse, as photos are squashed to a square."""
    rows, columns = np.mgrid[:height, :width] + 0.5
    away = np.hypot((columns - x) * SIDE / width, (rows - y) * SIDE / height)
    return away <= RADII[mask]


def _encoder() -> onnx.ModelProto:
    """Features that are everywhere the photo's mean."""
    shapes = {"e": (1, 256, 64, 64), "h4": (1, 32, 256, 256), "h2": (1, 64, 128, 128)}
    nodes = [helper.make_node("ReduceMean", ["photo"], ["mean"], axes=[1, 2, 3], keepdims=1)]
    constants, outputs = [], []
    for name, shape in shapes.items():
        constants.append(numpy_helper.from_array(np.array(shape, np.int64), f"{name}_shape"))
        nodes.append(helper.make_node("Expand", ["mean", f"{name}_shape"], [name]))
        outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
    photo = helper.make_tensor_value_info("photo", TensorProto.FLOAT, (1, 3, SIDE, SIDE))
    return _model("encoder", nodes, [photo], outputs, constants)


def _decoder() -> onnx.ModelProto:
    """radius - distance to the nearest click on the object, and the mask that is refined."""
    centres = (np.arange(GRID, dtype=np.float32) + 0.5) * (SIDE / GRID)
    constants = {
        "grid_x": centres.reshape(1, 1, 1, GRID),
        "grid_y": centres.reshape(1, 1, GRID, 1),
        "radii": np.array(RADII, np.float32).reshape(1, 4, 1, 1),
        "scores": np.array(SCORES, np.float32).reshape(1, 4),
        "far": np.array(FAR, np.float32),
        "softness": np.array(SOFTNESS, np.float32),
        "nothing": np.array(0.0, np.float32),
        "no_click": np.array(0, np.int64),
        "two_more": np.array([2, 3], np.int64),
        "zero": np.array(0, np.int64),
        "one": np.array(1, np.int64),
    }
    node = helper.make_node
    nodes = [
        node("Gather", ["point_coords", "zero"], ["xs"], axis=2),
        node("Gather", ["point_coords", "one"], ["ys"], axis=2),
        node("Unsqueeze", ["xs", "two_more"], ["x"]),
        node("Unsqueeze", ["ys", "two_more"], ["y"]),
        node("Sub", ["grid_x", "x"], ["dx"]),
        node("Sub", ["grid_y", "y"], ["dy"]),
        node("Mul", ["dx", "dx"], ["dx2"]),
        node("Mul", ["dy", "dy"], ["dy2"]),
        node("Add", ["dx2", "dy2"], ["squared"]),
        node("Unsqueeze", ["point_labels", "two_more"], ["labels"]),
        node("Greater", ["labels", "no_click"], ["is_click"]),
        node("Where", ["is_click", "squared", "far"], ["of_clicks"]),
        node("ReduceMin", ["of_clicks"], ["nearest2"], axes=[1], keepdims=1),
        node("Sqrt", ["nearest2"], ["nearest"]),
        node("Sub", ["radii", "nearest"], ["inside"]),
        node("Div", ["inside", "softness"], ["discs"]),
        node("Mul", ["mask_input", "has_mask_input"], ["refined"]),
        node("Add", ["discs", "refined"], ["masks"]),
        # All inputs are read, so that no engine drops one.
        node("ReduceMean", ["image_embeddings"], ["m0"], axes=[1, 2, 3], keepdims=1),
        node("ReduceMean", ["high_res_256"], ["m1"], axes=[1, 2, 3], keepdims=1),
        node("ReduceMean", ["high_res_128"], ["m2"], axes=[1, 2, 3], keepdims=1),
        node("Sum", ["m0", "m1", "m2"], ["means"]),
        node("Mul", ["means", "nothing"], ["zeros"]),
        node("Add", ["masks", "zeros"], ["low_res_logits"]),
        node("ReduceMean", ["low_res_logits"], ["flat"], axes=[2, 3], keepdims=0),
        node("Mul", ["flat", "nothing"], ["flat_zeros"]),
        node("Add", ["flat_zeros", "scores"], ["predicted_iou"]),
    ]
    info = helper.make_tensor_value_info
    inputs = [
        info("image_embeddings", TensorProto.FLOAT, (1, 256, 64, 64)),
        info("high_res_256", TensorProto.FLOAT, (1, 32, 256, 256)),
        info("high_res_128", TensorProto.FLOAT, (1, 64, 128, 128)),
        info("point_coords", TensorProto.FLOAT, ("prompts", "points", 2)),
        info("point_labels", TensorProto.INT64, ("prompts", "points")),
        info("mask_input", TensorProto.FLOAT, (1, 1, GRID, GRID)),
        info("has_mask_input", TensorProto.FLOAT, (1,)),
    ]
    outputs = [
        info("low_res_logits", TensorProto.FLOAT, ("prompts", 4, GRID, GRID)),
        info("predicted_iou", TensorProto.FLOAT, ("prompts", 4)),
    ]
    used = {name for one in nodes for name in one.input}
    tensors = [numpy_helper.from_array(a, n) for n, a in constants.items() if n in used]
    return _model("decoder", nodes, inputs, outputs, tensors)


def _model(
    name: str,
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    constants: list[onnx.TensorProto],
) -> onnx.ModelProto:
    graph = helper.make_graph(nodes, name, inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model


if __name__ == "__main__":
    write_disc_sam2(Path(sys.argv[1]))
