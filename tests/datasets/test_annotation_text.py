import json

import pytest

from atrous.datasets.annotation_text import read_annotations
from atrous.domain.errors import BadDataset

SQUARE = {"label": "road", "points": [[0, 0], [4, 0], [4, 4]]}
COCO = {
    "images": [{"id": 1, "file_name": "a.jpg"}],
    "annotations": [],
    "categories": [{"id": 1, "name": "road"}],
}


@pytest.mark.parametrize(
    ("text", "format"),
    [
        (json.dumps(COCO), "coco"),
        ("\ufeff" + json.dumps({"shapes": [SQUARE]}), "labelme"),
        ("<?xml version='1.0'?><annotation></annotation>", "voc"),
        ("\n<annotations><image name='a.jpg'/></annotations>", "cvat"),
        ("0 0.1 0.1 0.5 0.1 0.5 0.5", "yolo-seg"),
        ("", "yolo-seg"),
    ],
)
def test_formats_are_recognised_by_content(text: str, format: str) -> None:
    assert read_annotations(text, "a.txt", {0: "road"}).format == format


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not understood; send COCO JSON"),
        ("file_name,x", "not understood"),
        ('[{"image": "a.jpg", "annotations": []}]', "not understood"),
        ("{", "is no JSON"),
        ("{}", "is no COCO file"),
        ('{"a": ' * 100_000, "is no JSON"),
        ("<html></html>", "XML of <html>"),
        ("0 0.1 0.1 0.5 0.1 0.5 0.5", "class 0 has no name"),
    ],
    ids=range(8),
)
def test_what_is_not_understood(text: str, said: str) -> None:
    with pytest.raises(BadDataset, match=said):
        read_annotations(text, "a.json")
