import re

from atrous.domain import errors
from atrous.domain.errors import AtrousError


def below(kind: type[AtrousError]) -> dict[str, str]:
    """Every error below `kind`, with its parent's name."""
    found = {}
    for child in kind.__subclasses__():
        if child.__module__ == errors.__name__:
            found |= {child.__name__: kind.__name__, **below(child)}
    return found


def test_the_drawn_tree_is_the_tree() -> None:
    drawn, parents = {}, {-1: "AtrousError"}
    for line in (errors.__doc__ or "").splitlines():
        if match := re.match(r"([│ ]*)[├└]── (\w+)", line):
            depth = len(match[1]) // 4
            drawn[match[2]] = parents[depth - 1]
            parents[depth] = match[2]
    assert drawn == below(AtrousError)


def test_every_error_says_what_it_is_for() -> None:
    for name in below(AtrousError):
        assert getattr(errors, name).__doc__
