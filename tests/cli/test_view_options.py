import pytest
import typer

from atrous.cli.view_options import read_views
from atrous.domain.errors import BadInput
from atrous.domain.views import Views


def test_views_of_the_options() -> None:
    assert read_views(None, None, False) is None
    assert read_views(None, None, True) == Views(flip=True)
    assert read_views(256, "0.5,1", False) == Views(window=256, scales=(0.5, 1.0))


def test_scales_that_are_none() -> None:
    with pytest.raises(typer.BadParameter, match="'1;2' are no numbers"):
        read_views(None, "1;2", False)
    with pytest.raises(BadInput, match="from 0.25 to 4"):
        read_views(None, "9", False)
