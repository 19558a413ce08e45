from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from atrous.domain.geometry import Size
from atrous.runtime.openvino_session import OpenVinoSession

Save = Callable[..., Path]
PHOTOS = np.random.default_rng(3).random((1, 3, 32, 48)).astype(np.float32)
HALF_PIXEL = {"coordinate_transformation_mode": "half_pixel", "mode": "linear"}


def enlarging_network(
    sizes: tuple[int, ...] = (1, 4, 32, 48), **attributes: object
) -> onnx.ModelProto:
    """Every fourth pixel's colours, enlarged."""
    weights = np.random.default_rng(0).random((4, 3, 1, 1)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["photo", "w"], ["coarse"], strides=[4, 4]),
        helper.make_node("Resize", ["coarse", "", "", "sizes"], ["logits"], **attributes),
    ]
    graph = helper.make_graph(
        nodes,
        "enlarging",
        [helper.make_tensor_value_info("photo", TensorProto.FLOAT, (1, 3, 32, 48))],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, sizes)],
        [
            numpy_helper.from_array(weights, "w"),
            numpy_helper.from_array(np.array(sizes, np.int64), "sizes"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def opened(weights: Path, **settings: object) -> OpenVinoSession:
    return OpenVinoSession(weights, precision="fp32", threads=1, **settings)


def test_the_last_step_is_left_out_and_its_size_known(save_network: Save, tmp_path: Path) -> None:
    weights = save_network(enlarging_network(**HALF_PIXEL))
    whole = opened(weights)
    assert whole.enlarged is None
    assert whole.run(PHOTOS).shape == (1, 4, 32, 48)
    for _ in range(2):  # compiled, then read
        coarse = opened(weights, coarse=True, cache_folder=tmp_path / "cache")
        assert coarse.enlarged == Size(32, 48)
        answer = coarse.run(PHOTOS)
        assert answer.shape == (1, 4, 8, 12)
        # enlarging leaves the mean of a row's inner part where it was: both are the same picture
        assert np.allclose(answer.mean(), whole.run(PHOTOS).mean(), atol=0.02)


def test_whole_and_coarse_are_kept_apart(save_network: Save, tmp_path: Path) -> None:
    weights = save_network(enlarging_network(**HALF_PIXEL))
    for coarse in (True, False, True):
        session = opened(weights, coarse=coarse, cache_folder=tmp_path / "cache")
        assert (session.enlarged is not None) == coarse
    assert len(list((tmp_path / "cache").iterdir())) == 2


@pytest.mark.parametrize(
    "attributes",
    [
        {**HALF_PIXEL, "coordinate_transformation_mode": "align_corners"},
        {**HALF_PIXEL, "mode": "nearest"},
        {**HALF_PIXEL, "mode": "cubic"},
        {**HALF_PIXEL, "sizes": (1, 4, 4, 6)},  # makes it smaller
        {**HALF_PIXEL, "sizes": (1, 8, 32, 48)},  # makes channels up
    ],
)
def test_any_other_last_step_stays(attributes: dict[str, object], save_network: Save) -> None:
    weights = save_network(enlarging_network(**attributes))
    session = opened(weights, coarse=True)
    assert session.enlarged is None
    assert session.run(PHOTOS).shape == attributes.get("sizes", (1, 4, 32, 48))


def test_networks_without_such_a_step_stay(save_network: Save) -> None:
    session = opened(save_network(), coarse=True)
    assert session.enlarged is None
    assert session.run(PHOTOS).shape == (1, 4, 32, 48)
