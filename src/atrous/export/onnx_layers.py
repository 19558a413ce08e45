"""Layers of an ONNX network by what they do: its classifier, its image pooling, its depthwise ones.

They are found by the shape of the graph, so that networks of other makers are understood, too.
"""

from collections.abc import Iterator

from onnx import ModelProto, NodeProto, TensorProto

# Between the classifier and the end; an aligned head moves its scores by Slice and Concat.
PASSES_ON = ("Resize", "Identity", "Cast", "DequantizeLinear", "Slice", "Concat")
MEANS = ("GlobalAveragePool", "ReduceMean")
QUANTISED = "DequantizeLinear"  # the operator that every int8 network has


def name_layers(model: ModelProto) -> None:
    """Give a name to every layer without one, in place."""
    for index, node in enumerate(model.graph.node):
        node.name = node.name or f"{node.op_type}_{index}"


def is_quantised(model: ModelProto) -> bool:
    """Whether it computes in int8 somewhere."""
    return any(node.op_type == QUANTISED for node in model.graph.node)


def takes_float32(model: ModelProto) -> bool:
    """Whether its pictures are float32, and not float16 or whole numbers."""
    return bool(model.graph.input[0].type.tensor_type.elem_type == TensorProto.FLOAT)


def classifier(model: ModelProto) -> list[str]:
    """The layer that gives the logits, before they are enlarged; nothing where none is found."""
    makers = {output: node for node in model.graph.node for output in node.output}
    node = makers.get(model.graph.output[0].name)
    while node is not None and node.op_type in PASSES_ON:
        node = makers.get(node.input[0])
    return [node.name] if node is not None and node.op_type == "Conv" else []


def image_pooling(model: ModelProto) -> list[str]:
    """Means over the whole picture, and the layers that read them."""
    means = [node for node in model.graph.node if node.op_type in MEANS]
    outputs = {output for node in means for output in node.output}
    readers = [node for node in model.graph.node if outputs & set(node.input)]
    return [node.name for node in (*means, *readers)]


def depthwise(model: ModelProto) -> list[str]:
    """Convolutions of each channel by itself."""
    channels = {tensor.name: tensor.dims[0] for tensor in model.graph.initializer if tensor.dims}
    return [
        node.name
        for node in _convolutions(model)
        if 1 < _groups(node) == channels.get(node.input[1])
    ]


def _convolutions(model: ModelProto) -> Iterator[NodeProto]:
    return (node for node in model.graph.node if node.op_type == "Conv")


def _groups(node: NodeProto) -> int:
    return next((entry.i for entry in node.attribute if entry.name == "group"), 1)
