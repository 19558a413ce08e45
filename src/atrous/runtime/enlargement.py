"""Leaving out a network's last step where that only enlarges its logits bilinearly.

The way back to the photo enlarges them a second time, and can do both at once
(`resampling.twice_bilinear`): a network of 150 classes then writes 10 MB instead of 160.
"""

import re
from typing import Any

from atrous.domain.geometry import Size
from atrous.runtime.network_io import side_length

# The size travels in the name of the output, which compiled networks keep.
NAME = re.compile(r"logits_before_(\d+)x(\d+)")
BILINEAR: dict[str, Any] = {
    "coordinate_transformation_mode": ("half_pixel", "pytorch_half_pixel"),
    "mode": ("linear", "linear_onnx"),
    "antialias": (False,),
    "pads_begin": ([0, 0, 0, 0], [0], []),
    "pads_end": ([0, 0, 0, 0], [0], []),
}


def cut_enlargement(network: Any) -> None:
    """Make what the last step of an OpenVINO model enlarges its output, if that is all it does."""
    result = network.get_results()[0]
    step = result.input_value(0).get_node()
    if len(network.get_results()) != 1 or step.get_type_name() != "Interpolate":
        return
    facts = step.get_attributes()
    if any(facts.get(name) not in known for name, known in BILINEAR.items()):
        return
    before, after = (
        [side_length(side) for side in shape]
        for shape in (step.input_value(0).partial_shape, step.output(0).partial_shape)
    )
    if len(before) != 4 or None in before + after or before[:2] != after[:2]:
        return
    (low_height, low_width), (height, width) = before[2:], after[2:]
    if height <= low_height or width <= low_width:  # type: ignore[operator]
        return
    result.input(0).replace_source_output(step.input_value(0))
    network.validate_nodes_and_infer_types()
    network.output(0).set_names({f"logits_before_{width}x{height}"})


def enlarged_size(compiled: Any) -> Size | None:
    """To what size the step that was left out enlarged; None where none was."""
    for name in compiled.output(0).names:
        found = NAME.fullmatch(name)
        if found:
            return Size(height=int(found[2]), width=int(found[1]))
    return None
