import pytest

from atrous.datasets.plain_xml import read_xml
from atrous.datasets.voc import read_voc
from atrous.domain.errors import BadDataset
from atrous.domain.geometry import Size

HEAD = "<filename>a.jpg</filename><size><width>12</width><height>10</height></size>"
BOX = "<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>5</xmax><ymax>6</ymax></bndbox>"
CORNERS = enumerate(((6, 0), (10, 0), (10, 4), (6, 4)), start=1)
NUMBERED = "".join(f"<x{n}>{x}</x{n}><y{n}>{y}</y{n}>" for n, (x, y) in CORNERS)
NUMBERED = f"<polygon>{NUMBERED}</polygon>"
POINTS = (
    "<polygon>"
    + "".join(f"<pt><x>{x}</x><y>{y}</y></pt>" for x, y in ((6, 5), (10, 5), (10, 9), (6, 9)))
    + "<username>x</username></polygon>"
)


def voc(*objects: str, head: str = HEAD):
    body = "".join(f"<object>{entry}</object>" for entry in objects)
    return read_voc(read_xml(f"<annotation>{head}{body}</annotation>", "a.xml"), "a.xml")


def test_polygons_in_both_ways_and_boxes() -> None:
    file = voc(
        f"<name>road</name>{BOX}", f"<name>tree</name>{BOX}{NUMBERED}", f"<name>sky</name>{POINTS}"
    )
    label_map = file.label_map("a.jpg", Size(10, 12))
    assert file.class_names == ("background", "road", "tree", "sky")
    assert (label_map[2:6, 1:5] == 1).all()
    assert (label_map[0:4, 6:10] == 2).all()
    assert (label_map[5:9, 6:10] == 3).all()
    assert (label_map > 0).sum() == 48
    assert [area.is_box for area in file.photos[0].areas] == [True, False, False]


def test_a_file_without_objects_or_size() -> None:
    assert voc(head="").photos[0].size is None
    assert not voc().label_map("a.jpg", Size(10, 12)).any()


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (BOX, "has no name"),
        ("<name>a</name>", "no polygon and no bndbox"),
        ("<name>a</name><bndbox><xmin>1</xmin></bndbox>", "coordinate None"),
        ("<name>a</name><polygon><x1>inf</x1></polygon>", "coordinate 'inf'"),
    ],
)
def test_faults_name_file_and_object(entry: str, said: str) -> None:
    with pytest.raises(BadDataset, match=rf"a.xml, object 2.*{said}"):
        voc(f"<name>road</name>{BOX}", entry)
