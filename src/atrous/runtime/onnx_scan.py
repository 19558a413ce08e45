"""Look through an ONNX file for tensors kept in other files, before an engine follows them."""

from collections.abc import Iterator

from atrous.domain.errors import BadPackage

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # protobuf's wire types
TENSOR = "tensor"

# The messages of onnx.proto that can lead to a tensor: field number -> message.
FIELDS: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: TENSOR, 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: TENSOR, 6: "graph", 10: TENSOR, 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: TENSOR, 2: TENSOR},
    TENSOR: {},
}
GRAPH_FIELD = 7  # of a model
EXTERNAL_DATA_FIELD, DATA_LOCATION_FIELD = 13, 14  # of a tensor
EXTERNAL = 1


def refuse_external_data(model: bytes) -> None:
    """Raise BadPackage for a model with external data, or one that is no ONNX file.

    Both engines resolve external data of a model loaded from bytes against the working folder,
    and paths out of a package have been an attack more than once (CVE-2024-27318,
    CVE-2026-27489). Reads the tags of the messages and skips over the weights themselves.
    """
    has_graph = False
    pending = [("model", 0, len(model))]
    while pending:
        message, start, end = pending.pop()
        for number, wire_type, value, length in _fields(model, start, end):
            if message == TENSOR and _is_external(number, wire_type, value):
                raise BadPackage(
                    "the network keeps weights outside of its ONNX file; save it as one file "
                    "(onnx.save_model(model, path, save_as_external_data=False))"
                )
            kind = FIELDS[message].get(number)
            if kind and wire_type == BYTES:
                has_graph = has_graph or (message == "model" and number == GRAPH_FIELD)
                pending.append((kind, value, value + length))
    if not has_graph:
        raise _not_onnx()


def _is_external(number: int, wire_type: int, value: int) -> bool:
    if number == EXTERNAL_DATA_FIELD:
        return True
    return number == DATA_LOCATION_FIELD and wire_type == VARINT and value == EXTERNAL


def _fields(model: bytes, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield (field number, wire type, value or position of the bytes, length of the bytes)."""
    position = start
    while position < end:
        tag, position = _varint(model, position, end)
        number, wire_type = tag >> 3, tag & 7
        value, length = position, 0
        if wire_type == VARINT:
            value, position = _varint(model, position, end)
        elif wire_type == BYTES:
            length, value = _varint(model, position, end)
            position = value + length
        elif wire_type in (FIXED32, FIXED64):
            position += 4 if wire_type == FIXED32 else 8
        else:
            raise _not_onnx()
        if position > end:
            raise _not_onnx()
        yield number, wire_type, value, length


def _varint(model: bytes, position: int, end: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if position >= end:
            break
        byte = model[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise _not_onnx()


def _not_onnx() -> BadPackage:
    return BadPackage("the weights are no ONNX file, or a damaged one; export the network again")
