"""Which photo of an annotation file is meant: names differ by folders and endings."""

from collections.abc import Callable, Sequence
from pathlib import PurePosixPath, PureWindowsPath


class PhotoNames:
    """The names in a file, found by the whole name, else its last part, else that without ending.

    >>> PhotoNames(["train/a.jpg", "b.jpg"]).find("a.png")
    0
    """

    def __init__(self, names: Sequence[str]) -> None:
        """Make the look-ups; of names that can't be told apart, the first is found."""
        self._count = len(names)
        self._by: list[tuple[Callable[[str], str], dict[str, int]]] = []
        for part in (_whole, _last_part, _stem):
            table: dict[str, int] = {}
            for index, name in enumerate(names):
                table.setdefault(part(name), index)
            self._by.append((part, table))

    def find(self, photo: str) -> int | None:
        """The place of a photo among the names; None where it is not listed."""
        for part, table in self._by:
            index = table.get(part(photo))
            if index is not None:
                return index
        return None

    def find_or_only(self, photo: str) -> int | None:
        """The same, but a file of one photo was made for it, whatever it was called then."""
        index = self.find(photo)
        return 0 if index is None and self._count == 1 else index


def _whole(name: str) -> str:
    return name


def _last_part(name: str) -> str:
    return PurePosixPath(PureWindowsPath(name).as_posix()).name


def _stem(name: str) -> str:
    return PurePosixPath(_last_part(name)).stem
