import numpy as np
import pytest

from atrous.reports.canvas import ACCENT, PIXELS, WHITE, Canvas, shortened, text_width


def test_units_are_scaled() -> None:
    canvas = Canvas(30, 20)
    canvas.box(10, 5, 6, 4, ACCENT)
    pixels = canvas.pixels()
    assert pixels.shape == (20 * PIXELS, 30 * PIXELS, 3)
    inside = (pixels == ACCENT).all(axis=2)
    rows, columns = np.nonzero(inside)
    assert (rows.min(), rows.max()) == (5 * PIXELS, 9 * PIXELS - 1)
    assert (columns.min(), columns.max()) == (10 * PIXELS, 16 * PIXELS - 1)
    assert (pixels[~inside] == WHITE).all()


@pytest.mark.parametrize("text", ["road", "Straße 自", "ü"])
def test_text_lies_where_it_is_told(text: str) -> None:
    canvas = Canvas(120, 120)
    canvas.text(60, 30, text, anchor="right")
    canvas.upright_text(90, 110, text)
    dark = canvas.pixels().min(axis=2) < 128
    rows, columns = np.nonzero(dark)
    assert dark[: 45 * PIXELS, : 61 * PIXELS].any()
    assert not dark[: 40 * PIXELS, 62 * PIXELS :].any()
    assert dark[60 * PIXELS : 111 * PIXELS, 75 * PIXELS : 105 * PIXELS].any()
    assert rows.max() <= 111 * PIXELS
    assert columns.max() <= 105 * PIXELS


def test_long_names_are_cut() -> None:
    assert shortened("road", 100) == "road"
    cut = shortened("a very long\nname of a class " * 5, 100)
    assert cut.endswith("…")
    assert "\n" not in cut
    assert text_width(cut) <= 100


def test_nothing_is_drawn_of_nothing() -> None:
    canvas = Canvas(10, 10)
    canvas.box(2, 2, 0, 5, ACCENT)
    canvas.line([(1, 1)], ACCENT)
    assert (canvas.pixels() == 255).all()
