"""XML of strangers: elements and text alone, no document type, so no entities that grow or read."""

from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from atrous.domain.errors import BadDataset

MAX_DEPTH = 50  # of elements in elements


def read_xml(text: str, name: str) -> Element:
    """Give the root of a document; BadDataset where it is damaged or has a DOCTYPE."""
    builder, depth = TreeBuilder(), 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > MAX_DEPTH:
            raise BadDataset(f"{name}: elements lie {depth} deep; expected at most {MAX_DEPTH}")
        builder.start(tag, attributes)

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(tag)

    def refuse(*_: object) -> None:
        raise BadDataset(
            f"{name} has a DOCTYPE, through which XML files can do harm; take that line out"
        )

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(text.encode("utf-8", "replace").decode().strip(), True)
    except expat.ExpatError as error:
        raise BadDataset(f"{name} is no XML ({error}); export it anew") from error
    return builder.close()


def text_at(element: Element, path: str) -> str | None:
    """The text of an element below, without spaces around; None where it is not there."""
    found = element.findtext(path)
    return None if found is None else found.strip()
