"""Class lists as people keep them in files, and how raw ids of masks become ids of a model."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from atrous.domain.classes import (
    BACKGROUND,
    IGNORE_ID,
    IGNORED,
    LINE_END,
    ClassTable,
    behind_background,
    lines_of,
)
from atrous.domain.errors import BadDataset

CSV_HEADER = "pixel value"
PIXEL_VALUE = re.compile(r"\d{1,9}")


@dataclass(frozen=True)
class IdLookup:
    """Model id per raw id of a mask."""

    table: bytes  # 256 model ids, 255 for a raw id that is ignored or unknown
    known: frozenset[int]  # raw ids in the class list, or ignored on purpose

    def as_array(self) -> UInt8[np.ndarray, "256"]:
        """The table as uint8, to index with a raw label map."""
        return np.frombuffer(self.table, dtype=np.uint8)

    @property
    def ignored(self) -> frozenset[int]:
        """Raw ids that are left out on purpose."""
        return frozenset(raw_id for raw_id in self.known if self.table[raw_id] == IGNORE_ID)


def read_class_list(path: Path) -> tuple[str, ...]:
    """Names by raw id, from one name per line or a csv with the header `Pixel Value, Class`.

    A csv that starts at 1 has a background at 0 that it doesn't name. Raises BadDataset on a file
    that can't be read, is empty, or skips ids.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadDataset(f"class list {path} can't be read ({error})") from error
    return class_names_in(text, str(path))


def class_names_in(text: str, path: str) -> tuple[str, ...]:
    """The same of a file's text."""
    filled = lines_of(text)
    if not filled:
        raise BadDataset(f"class list {path} is empty; write one class name per line")
    if filled[0].lower().startswith(CSV_HEADER):
        return _names_by_pixel_value(path, filled[1:])
    lines = [line.strip() for line in LINE_END.split(text.rstrip())]
    if "" in lines:  # left out, it would move the ids of all names behind it
        raise BadDataset(
            f"class list {path} has nothing in line {lines.index('') + 1}; write the name of mask "
            f"id {lines.index('')} there, or remove the line"
        )
    return filled


def says_ignored(path: Path) -> bool:
    """Whether a csv that can be read says that 255 is no class but ignored: `255, __ignore__`."""
    rows = (row.partition(",") for row in lines_of(path.read_text(encoding="utf-8-sig")))
    return any(
        value.strip() == str(IGNORE_ID) and _unquoted(name) == IGNORED for value, _, name in rows
    )


def as_csv_field(name: str) -> str:
    """A name as a csv holds it: in quotes only where it would be read as another one otherwise.

    >>> print(as_csv_field("pipe"), as_csv_field('12" pipe'))
    pipe "12"" pipe"
    """
    if '"' not in name and name == name.strip():
        return name
    doubled = name.replace('"', '""')
    return f'"{doubled}"'


def _names_by_pixel_value(path: str, rows: Sequence[str]) -> tuple[str, ...]:
    names: dict[int, str] = {}
    for row in rows:
        value, _, name = row.partition(",")
        is_value = PIXEL_VALUE.fullmatch(value.strip())
        if not is_value or not _unquoted(name) or int(value) in names:
            raise BadDataset(
                f"class list {path} has the row {row[:100]!r}; expected `pixel value, class name`, "
                "each value once"
            )
        names[int(value)] = _unquoted(name)
    if names.get(IGNORE_ID) == IGNORED:  # no class: see `says_ignored`
        del names[IGNORE_ID]
    if 0 not in names:
        names[0] = BACKGROUND
    if sorted(names) != list(range(len(names))):
        raise BadDataset(
            f"class list {path} has the pixel values {sorted(names)}; "
            f"expected 0..{len(names) - 1} without gaps: renumber masks and list"
        )
    return tuple(names[value] for value in range(len(names)))


def _unquoted(field: str) -> str:
    """The name in a field of a csv. Quotes that don't enclose all of it are a part of the name."""
    field = field.strip()
    inside = field[1:-1].replace('""', "")
    if len(field) > 1 and field[0] == field[-1] == '"' and '"' not in inside:
        return field[1:-1].replace('""', '"').strip()
    return field


def classes_and_lookup(
    names: Sequence[str], ignore_id: int | None = None
) -> tuple[ClassTable, IdLookup]:
    """The class table and id lookup of masks whose raw id i is `names[i]`.

    Where `names[0]` is not background, ids move up by one behind an unused background. Raw
    `ignore_id` becomes 255. A background that is itself the ignored id counts as not labelled.
    """
    starts_with_background = bool(names) and names[0].lower() == BACKGROUND
    if starts_with_background:
        classes = ClassTable((BACKGROUND, *names[1:]), background_labelled=ignore_id != 0)
    else:
        classes = behind_background(names)
    first_id = 0 if starts_with_background else 1

    table = np.full(256, IGNORE_ID, dtype=np.uint8)
    table[: len(names)] = np.arange(first_id, first_id + len(names))
    known = set(range(len(names)))
    if ignore_id is not None:
        _check_ignore_id(ignore_id, names, starts_with_background)
        table[ignore_id] = IGNORE_ID
        known.add(ignore_id)
    return classes, IdLookup(table.tobytes(), frozenset(known))


def _check_ignore_id(ignore_id: int, names: Sequence[str], starts_with_background: bool) -> None:
    if not 0 <= ignore_id <= 255:
        raise BadDataset(f"ignore id {ignore_id} is no value of an 8-bit mask; give 0..255")
    is_class = ignore_id < len(names)
    if is_class and not (ignore_id == 0 and starts_with_background):
        raise BadDataset(
            f"ignore id {ignore_id} is the class {names[ignore_id]!r}; take it out of the class "
            "list if it is the last one (to ignore id 0, name it background)"
        )
