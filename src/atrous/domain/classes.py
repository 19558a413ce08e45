"""The classes of a data set or model: id 0 is always `background`, 255 is never a class."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from atrous.domain.errors import BadInput

BACKGROUND = "background"
BACKGROUND_ID = 0
IGNORE_ID = 255  # never trained on, never predicted
IGNORED = "__ignore__"  # in annotation files and lists: no class, but pixels of IGNORE_ID
MAX_CLASSES = 255  # ids 0..254 fit a label map of 8 bits beside IGNORE_ID
LINE_END = re.compile(r"\r\n?|\n")  # of files; `splitlines` would cut a name at U+2028, too


@dataclass(frozen=True)
class ClassTable:
    """Class names by id, `names[0]` being `background`.

    `background_labelled` is False for a set whose own ids start with a real class (CamVid: 0 is
    sky): its classes are kept behind a background that no pixel carries, and figures are taken
    over the other classes alone.

    >>> table = ClassTable(("background", "cat"))
    >>> table.labelled_ids, table.class_map
    ((0, 1), {'0': 'background', '1': 'cat'})
    """

    names: tuple[str, ...]
    background_labelled: bool = True

    def __post_init__(self) -> None:
        if not self.names or self.names[0].lower() != BACKGROUND:
            raise BadInput(
                f"class 0 is {self.names[:1]!r}; it must be '{BACKGROUND}': "
                "put it first in the list of classes"
            )
        if len(self.names) < 2:
            raise BadInput("there is no class besides background; at least one is needed")
        if len(self.names) > MAX_CLASSES:
            raise BadInput(
                f"{len(self.names)} classes are more than a label map of 8 bits holds; "
                f"use at most {MAX_CLASSES}, background included"
            )
        if any(not name.strip() for name in self.names):
            raise BadInput("a class name is empty; give every class a name")
        repeated = sorted({name for name in self.names if self.names.count(name) > 1})
        if repeated:
            raise BadInput(f"class names are given twice: {', '.join(repeated)}; rename one")

    def __len__(self) -> int:
        """Number of classes, background included: the channels of a network."""
        return len(self.names)

    @property
    def labelled_ids(self) -> tuple[int, ...]:
        """The ids that pixels of the data set can carry, and that figures are taken over."""
        return tuple(range(0 if self.background_labelled else 1, len(self.names)))

    @property
    def class_map(self) -> dict[str, str]:
        """Decimal id to name, as the HTTP API sends it."""
        return {str(index): name for index, name in enumerate(self.names)}


def behind_background(names: Sequence[str]) -> ClassTable:
    """Put a background that no pixel carries in front of classes that start with a real one.

    >>> behind_background(["sky", "road"])
    ClassTable(names=('background', 'sky', 'road'), background_labelled=False)
    """
    return ClassTable((BACKGROUND, *names), background_labelled=False)


def lines_of(text: str) -> tuple[str, ...]:
    """The lines of a list of classes without spaces around them; empty ones are left out.

    >>> lines_of(" sky\\r\\n\\nroad")
    ('sky', 'road')
    """
    lines = (line.strip() for line in LINE_END.split(text))
    return tuple(line for line in lines if line)
