import pytest

from atrous.datasets.plain_xml import read_xml, text_at
from atrous.domain.errors import BadDataset

BOMB = """<?xml version="1.0"?>
<!DOCTYPE lolz [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>
<annotation>&b;</annotation>"""
READER = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]><a>&x;</a>'


def test_elements_and_texts() -> None:
    root = read_xml('<?xml version="1.0" encoding="latin-1"?>\n<a><b k="1"> Straße </b></a>', "a")
    assert root.find("b").get("k") == "1"
    assert text_at(root, "b") == "Straße"
    assert text_at(root, "c") is None


@pytest.mark.parametrize("text", [BOMB, READER])
def test_a_document_type_is_refused(text: str) -> None:
    with pytest.raises(BadDataset, match="a.xml has a DOCTYPE"):
        read_xml(text, "a.xml")


@pytest.mark.parametrize("text", ["", "<a>", "<a></b>", "x", "<a/><b/>", "<a>&x;</a>", "\ud800"])
def test_damaged_files(text: str) -> None:
    with pytest.raises(BadDataset, match="a.xml is no XML"):
        read_xml(text, "a.xml")


def test_depth_is_bounded() -> None:
    with pytest.raises(BadDataset, match="51 deep"):
        read_xml("<a>" * 100_000, "a.xml")
