"""The options that say how often a photo is looked at."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from atrous.domain.views import Views

WindowOption = Annotated[
    int | None,
    typer.Option(
        min=32,
        help="Cut larger photos into overlapping windows, their longer side of so many pixels "
        "of the photo.",
    ),
]
ScalesOption = Annotated[
    str | None,
    typer.Option(
        help="Look at several scales and blend them, as 0.75,1,1.5; 1 is the photo as it is."
    ),
]
FlipOption = Annotated[bool, typer.Option("--flip", help="Look at the mirrored photo, too.")]


def read_views(window: int | None, scales: str | None, flip: bool) -> "Views | None":
    """The views that the options ask for; None, the package's own, where they ask for none."""
    from atrous.domain.views import Views

    if window is None and scales is None and not flip:
        return None
    try:
        numbers = tuple(float(part) for part in scales.split(",")) if scales else (1.0,)
    except ValueError:
        raise typer.BadParameter(f"--scales {scales!r} are no numbers; write 0.75,1,1.5") from None
    return Views(window=window, scales=numbers, flip=flip)
