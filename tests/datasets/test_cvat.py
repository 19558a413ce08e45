import tracemalloc

import pytest

from atrous.datasets.cvat import read_cvat
from atrous.datasets.plain_xml import read_xml
from atrous.domain.errors import BadDataset, BadImage
from atrous.domain.geometry import Size

LABELS = (
    "<meta><task><labels><label><name>tree</name></label><label><name>road</name></label>"
    "</labels></task></meta>"
)
SIZE = Size(8, 10)


def cvat(*shapes: str, head: str = 'name="train/a.jpg" width="10" height="8"'):
    text = f"<annotations>{LABELS}<image id='0' {head}>{''.join(shapes)}</image>"
    text += "<image id='1' name='b.jpg' width='10' height='8'/></annotations>"
    return read_cvat(read_xml(text, "a.xml"), "a.xml")


def test_shapes_of_every_kind_lie_in_their_order() -> None:
    file = cvat(
        '<box label="road" z_order="1" xtl="0" ytl="0" xbr="4" ybr="4"/>',
        '<polygon label="tree" z_order="0" points="0,0;10,0;10,2;0,2"/>',
        '<mask label="sky" z_order="2" rle="1, 2, 1" left="8" top="6" width="2" height="2"/>',
        '<ellipse label="road" z_order="2" cx="7" cy="4" rx="1.5" ry="1"/>',
        '<points label="eye" points="1,1"/>',
    )
    label_map = file.label_map("a.jpg", SIZE)
    assert file.class_names == ("background", "tree", "road", "sky")
    assert (label_map[:4, :4] == 2).all()
    assert (label_map[:2, 4:] == 1).all()
    assert label_map[6:, 8:].tolist() == [[0, 3], [3, 0]]
    assert label_map[4, 7] == 2
    assert not file.label_map("b.jpg", SIZE).any()
    assert not file.lists("c.jpg")


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ('<box xtl="0" ytl="0" xbr="4" ybr="4"/>', "has no label"),
        ('<box label="a" xtl="0" ytl="0" xbr="4"/>', "ybr of a box is ''"),
        ('<polygon label="a" points="1,2;x"/>', "has the points"),
        ('<mask label="a" rle="3" left="0" top="0" width="2" height="2"/>', "do not fill"),
        ('<mask label="a" rle="x" left="0" top="0" width="2" height="2"/>', "do not fill"),
        ('<mask label="a" rle="4" left="0" top="0" width="1e9" height="1e9"/>', "do not fill"),
        ('<polygon label="a" z_order="nan" points="1,2"/>', "z_order"),
    ],
)
def test_faults_name_file_and_image(shape: str, said: str) -> None:
    with pytest.raises(BadDataset, match=rf"a.xml, image 1.*{said}"):
        cvat(shape)


def test_a_file_for_video_is_refused() -> None:
    with pytest.raises(BadDataset, match="CVAT for images"):
        read_cvat(read_xml("<annotations><track/></annotations>", "a.xml"), "a.xml")


def test_a_small_file_of_large_masks_stays_small() -> None:
    mask = '<mask label="a" rle="90000000" left="0" top="0" width="9000" height="10000"/>'
    tracemalloc.start()
    file = cvat(*[mask] * 100, head='name="a.jpg"')
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()
    with pytest.raises(BadImage, match="9000x10000 at 0, 0 does not fit into a photo of 10x8"):
        file.label_map("a.jpg", SIZE)
