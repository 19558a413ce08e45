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


@pytest.mark.parametrize(
    "text",
    [
        "<annotations><image><mask label='a' left='0' top='0' width='2' height='2' rle='{long}'/>"
        "</image></annotations>",
        "<annotation><size><height>{long}</height><width>2</width></size></annotation>",
        "<annotation><object><name>a</name><polygon><x{long}>1</x{long}></polygon></object>"
        "</annotation>",
        "{long} 0.1 0.1 0.5 0.1 0.5 0.5",
    ],
    ids=["cvat", "voc size", "voc point", "yolo"],
)
def test_numbers_of_thousands_of_digits(text: str) -> None:
    with pytest.raises(BadDataset, match=r"^a.txt can't be read \(Exceeds the limit"):
        read_annotations(text.replace("{long}", "1" * 5000), "a.txt", {0: "road"})


@pytest.mark.parametrize("number", ["1e999", "1" * 5000])
def test_numbers_of_json_that_no_number_can_be(number: str) -> None:
    annotation = {"id": "?", "image_id": 1, "category_id": 1}
    text = json.dumps({**COCO, "annotations": [annotation]}).replace('"?"', number)
    with pytest.raises(BadDataset, match=r"^a.txt is no (COCO file|JSON)"):
        read_annotations(text, "a.txt")
