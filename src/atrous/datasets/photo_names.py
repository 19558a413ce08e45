"""Which photo of an annotation file is meant: names differ by folders and endings."""

from collections.abc import Callable, Sequence

from atrous.domain.errors import BadDataset

SHOWN = 5  # names in a message


class PhotoNames:
    """The names in a file, found by the whole name, else its last part, else that without ending.

    Of names with one last part that is meant which has most folders in common, counted from the
    end.

    >>> PhotoNames(["cam1/a.jpg", "cam2/a.jpg", "b.jpg"]).places("images/cam2/a.jpg")
    (1,)
    """

    def __init__(self, names: Sequence[str]) -> None:
        """Make the look-ups."""
        self._names = tuple(names)
        self._by: list[tuple[Callable[[str], str], dict[str, list[int]]]] = []
        for part in (_whole, _last_part, _stem):
            table: dict[str, list[int]] = {}
            for index, name in enumerate(names):
                table.setdefault(part(name), []).append(index)
            self._by.append((part, table))

    def places(self, photo: str) -> tuple[int, ...]:
        """The places of a photo among the names; several where they can't be told apart."""
        for part, table in self._by:
            found = table.get(part(photo))
            if found is not None:
                return tuple(found) if len(found) == 1 else self._in_its_folders(found, photo)
        return ()

    def place_of(self, photo: str, file: str) -> int:
        """The one place of a photo; a file of one photo was made for it, whatever it was called.

        file: what messages call the file. BadDataset where the photo is not listed, or more than
        once.
        """
        places = self.places(photo)
        if len(places) == 1 or (not places and len(self._names) == 1):
            return places[0] if places else 0
        if not places:
            raise BadDataset(
                f"{file} does not list {photo[:100]!r} among its {len(self._names)} images; "
                "upload the photo under the name that the annotations know"
            )
        shown = ", ".join(repr(self._names[place][:100]) for place in places[:SHOWN])
        raise BadDataset(
            f"{file} lists {photo[:100]!r} more than once, {len(places)} names fit it: {shown}; "
            "give each photo a name of its own, or a file that lists no other photo of this name"
        )

    def _in_its_folders(self, places: Sequence[int], photo: str) -> tuple[int, ...]:
        """Those whose folders agree best; among equals those that name no other folder."""
        own = _folders(photo)
        agreeing = {place: _agreeing(own, _folders(self._names[place])) for place in places}
        best = max(agreeing.values())
        return tuple(place for place in places if agreeing[place] == best)


def _whole(name: str) -> str:
    return name


def _last_part(name: str) -> str:
    return _parts(name)[-1]


def _stem(name: str) -> str:
    last = _last_part(name)
    return last.rpartition(".")[0] or last


def _folders(name: str) -> list[str]:
    """From the innermost on."""
    return _parts(name)[-2::-1]


def _parts(name: str) -> list[str]:
    return name.replace("\\", "/").split("/")


def _agreeing(own: Sequence[str], listed: Sequence[str]) -> tuple[int, bool]:
    """How many folders are the same from the innermost on, and whether these are all listed."""
    count = 0
    for one, other in zip(own, listed, strict=False):
        if one != other:
            break
        count += 1
    return count, count == len(listed)
