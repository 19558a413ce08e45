import base64
import io
import tracemalloc
from typing import Any

import numpy as np
import pytest
from PIL import Image

from atrous.datasets.labelme import read_labelme
from atrous.domain.errors import BadDataset, BadImage
from atrous.domain.geometry import Size

SIZE = Size(8, 10)


def labelme(*shapes: Any):
    content = {"imagePath": "..\\a.jpg", "imageHeight": 8, "imageWidth": 10, "imageData": None}
    return read_labelme({**content, "shapes": list(shapes)}, "a.json")


def png(mask: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(mask).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def test_shapes_of_every_kind() -> None:
    mask = np.array([[True, False], [True, True]])
    file = labelme(
        {"label": "road", "points": [[0, 0], [4, 0], [4, 4], [0, 4]]},
        {"label": "tree", "points": [[10, 2], [6, 0]], "shape_type": "rectangle"},
        {"label": "sky", "points": [[8, 6], [9, 7]], "shape_type": "mask", "mask": png(mask)},
        {"label": "ball", "points": [[3, 6], [4.5, 6]], "shape_type": "circle"},
        {"label": "_background_", "points": [[0, 0], [1, 0], [1, 1], [0, 1]]},
        {"label": "__ignore__", "points": [[1, 0], [2, 0], [2, 1], [1, 1]]},
        {"label": "wire", "points": [[0, 0], [1, 1]], "shape_type": "line"},
    )
    label_map = file.label_map("a.jpg", SIZE)
    assert file.class_names == ("background", "road", "tree", "sky", "ball")
    assert label_map[0].tolist() == [0, 255, 1, 1, 0, 0, 2, 2, 2, 2]
    assert label_map[6:, 8:].tolist() == [[3, 0], [3, 3]]
    assert label_map[6, 3] == 4


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ({"points": [[0, 0], [4, 0], [4, 4]]}, "has no label"),
        ({"label": "a"}, "points that can't be read"),
        ({"label": "a", "points": [[0, 0], [4, None], [4, 4]]}, "points that can't be read"),
        ({"label": "a", "points": [[0, 0], [4, 10**400], [4, 4]]}, "points that can't be read"),
        ({"label": "a", "points": [[0, 0], [4, 0]]}, "'polygon' of 2 points"),
        ({"label": "a", "points": [[0, 0]], "shape_type": "cube"}, "'cube' of 1 points"),
        ({"label": "a", "points": [[0, 0], [1, 1]], "shape_type": "mask"}, "mask can't be read"),
        (
            {"label": "a", "points": [[0, 0], [1, 1]], "shape_type": "mask", "mask": "é"},
            "mask can't be read",
        ),
    ],
)
def test_faults_name_file_and_shape(shape: dict[str, Any], said: str) -> None:
    with pytest.raises(BadDataset, match=rf"a.json, shape 1.*{said}"):
        labelme(shape)


@pytest.mark.parametrize("shapes", [None, [3], {"a": 1}])
def test_shapes_that_are_none(shapes: Any) -> None:
    with pytest.raises(BadDataset, match="no list of objects"):
        read_labelme({"shapes": shapes}, "a.json")


def test_masks_are_decoded_when_they_are_drawn() -> None:
    points = {"label": "a", "points": [[0, 0], [1, 1]], "shape_type": "mask"}
    large = png(np.zeros((1000, 1000), np.uint8))
    tracemalloc.start()
    file = labelme(*[{**points, "mask": large}] * 100)
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()
    with pytest.raises(BadImage, match="1000x1000 at 0, 0 does not fit into a photo of 10x8"):
        file.label_map("a.jpg", SIZE)
    damaged = base64.b64encode(base64.b64decode(png(np.ones((2, 2), np.uint8)))[:40]).decode()
    with pytest.raises(BadImage, match="a.json: a.jpg: the label PNG is cut off"):
        labelme({**points, "mask": damaged}).label_map("a.jpg", SIZE)
