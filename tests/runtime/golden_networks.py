"""Two small networks with fixed weights, and what they have to answer: the golden masks.

python tests/runtime/golden_networks.py FOLDER     computes the answers anew, without any engine

The answers come from onnx's reference implementation in NumPy and from torch in double precision.
The stored ones in `golden/` are never to be replaced because an engine has come to answer
differently: that is what they are there to show.
"""

import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from atrous.domain.geometry import Size
from atrous.domain.recipes import PreprocessRecipe
from atrous.images.preprocess import preprocess

NAMES = ("background", "one", "two", "three", "four")
INPUT, PHOTO = Size(96, 128), Size(120, 160)
RECIPE = PreprocessRecipe(size=INPUT)
GOLDEN = Path(__file__).with_name("golden")
KINDS = ("float", "int8")
CHANNELS = 16
SEED = 16
MARGIN_STEP = 0.001  # of the stored distance between the two likeliest classes' probabilities


class Builder:
    """Convolutions one after the other; quantised ones have int8 weights and uint8 inputs."""

    def __init__(self, quantised: bool) -> None:
        self._random = np.random.RandomState(SEED)  # a stream that NumPy promises never to change
        self._quantised = quantised
        self.nodes: list[onnx.NodeProto] = []
        self.tensors: list[onnx.TensorProto] = []

    def convolve(self, source: str, name: str, shape: tuple[int, ...], **settings: object) -> str:
        fan_in = int(np.prod(shape[1:]))
        weights = self._random.standard_normal(shape) * np.sqrt(2 / fan_in)
        bias = self._random.standard_normal(shape[0]) * 0.1
        kernel = self._kernel(name, weights.astype(np.float32))
        self._tensor(f"{name}_bias", bias.astype(np.float32))
        inputs = [self._rounded(source), kernel, f"{name}_bias"]
        self.nodes.append(helper.make_node("Conv", inputs, [name], **settings))
        return name

    def add(self, operator: str, sources: list[str], name: str, **settings: object) -> str:
        self.nodes.append(helper.make_node(operator, sources, [name], **settings))
        return name

    def _kernel(self, name: str, weights: np.ndarray) -> str:
        if not self._quantised:
            return self._tensor(f"{name}_kernel", weights)
        scales = (np.abs(weights).reshape(len(weights), -1).max(1) / 127).astype(np.float32)
        steps = np.round(weights / scales.reshape(-1, 1, 1, 1)).astype(np.int8)
        inputs = [
            self._tensor(f"{name}_steps", steps),
            self._tensor(f"{name}_scales", scales),
            self._tensor(f"{name}_zeros", np.zeros(len(scales), np.int8)),
        ]
        return self.add("DequantizeLinear", inputs, f"{name}_kernel", axis=0)

    def _rounded(self, source: str) -> str:
        if not self._quantised:
            return source
        signed = source == "photo"  # what comes from a ReLU is not
        scale, zero = (np.float32(6 / 255), np.uint8(128 if signed else 0))
        parts = [self._tensor(f"{source}_scale", scale), self._tensor(f"{source}_zero", zero)]
        if f"{source}_rounded" not in {node.output[0] for node in self.nodes}:
            self.add("QuantizeLinear", [source, *parts], f"{source}_steps_in")
            self.add("DequantizeLinear", [f"{source}_steps_in", *parts], f"{source}_rounded")
        return f"{source}_rounded"

    def _tensor(self, name: str, values: np.ndarray) -> str:
        if name not in {tensor.name for tensor in self.tensors}:
            self.tensors.append(numpy_helper.from_array(np.asarray(values), name))
        return name


def network(kind: str, whole: bool = True) -> onnx.ModelProto:
    """A DeepLab in small: strides, a dilated depthwise convolution, pooling, a last enlargement.

    kind: "float" or "int8". whole: False leaves the last enlargement out.
    """
    build = Builder(quantised=kind == "int8")
    wide = {"pads": [1, 1, 1, 1], "strides": [2, 2]}
    atrous = {"pads": [2, 2, 2, 2], "dilations": [2, 2], "group": CHANNELS}
    build.convolve("photo", "first", (CHANNELS, 3, 3, 3), **wide)
    build.add("Relu", ["first"], "first_on")
    build.convolve("first_on", "second", (CHANNELS, CHANNELS, 3, 3), **wide)
    build.add("Relu", ["second"], "second_on")
    build.convolve("second_on", "depthwise", (CHANNELS, 1, 3, 3), **atrous)
    build.add("Relu", ["depthwise"], "depthwise_on")
    build.convolve("depthwise_on", "pointwise", (CHANNELS, CHANNELS, 1, 1))
    build.add("Relu", ["pointwise"], "pointwise_on")
    result = build.convolve("pointwise_on", "classes", (len(NAMES), CHANNELS, 1, 1))
    size = Size(INPUT.height // 4, INPUT.width // 4)
    if whole:
        build.tensors.append(numpy_helper.from_array(np.float32([1, 1, 4, 4]), "factors"))
        result = build.add(
            "Resize",
            [result, "", "factors"],
            "logits",
            mode="linear",
            coordinate_transformation_mode="half_pixel",
        )
        size = INPUT
    source = helper.make_tensor_value_info(
        "photo", TensorProto.FLOAT, [1, 3, INPUT.height, INPUT.width]
    )
    target = helper.make_tensor_value_info(
        result, TensorProto.FLOAT, [1, len(NAMES), size.height, size.width]
    )
    graph = helper.make_graph(build.nodes, kind, [source], [target], build.tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)


def photo() -> np.ndarray:
    """Waves, discs and stripes, by integers alone: the same on every machine."""
    row, column = np.mgrid[: PHOTO.height, : PHOTO.width]
    waves = (row * row + 3 * column) // 40 % 256
    disc = (row - 60) ** 2 + (column - 110) ** 2 < 1400
    stripes = (row + 2 * column) // 24 % 3
    red = np.where(disc, 230, waves)
    green = np.where(stripes == 1, 200, column * 255 // PHOTO.width)
    blue = np.where(stripes == 2, 220, row * 255 // PHOTO.height)
    return np.stack([red, green, blue], axis=-1).astype(np.uint8)


def answer(kind: str) -> np.ndarray:
    """The right answer: label, probability (in 255ths) and margin (in MARGIN_STEPs) per pixel."""
    import torch
    from onnx.reference import ReferenceEvaluator
    from torch.nn import functional

    batch, _ = preprocess(photo(), RECIPE)
    [logits] = ReferenceEvaluator(network(kind, whole=False)).run(None, {"photo": batch})
    coarse = torch.from_numpy(logits.astype(np.float64))
    for size in (INPUT, PHOTO):
        sides = (size.height, size.width)
        coarse = functional.interpolate(coarse, sides, mode="bilinear", align_corners=False)
    likeliest = coarse[0].softmax(0).topk(2, dim=0)
    first, second = (values.numpy() for values in likeliest.values)
    margin = np.minimum(np.floor((first - second) / MARGIN_STEP), 255)
    return np.stack([likeliest.indices[0].numpy(), np.round(first * 255), margin], axis=-1).astype(
        np.uint8
    )


def read_golden(kind: str) -> np.ndarray:
    """What `answer` gave when the file was written."""
    stored = cv2.imread(str(GOLDEN / f"{kind}.png"), cv2.IMREAD_UNCHANGED)
    assert stored is not None
    return stored


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())
    for kind_ in KINDS:
        cv2.imwrite(str(folder / f"{kind_}.png"), answer(kind_))
