import numpy as np
import pytest
from PIL import ImageFont

from atrous.images import legend
from atrous.images.legend import add_legend

RED = (255, 0, 0)


def grey(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), 200, np.uint8)


def has_letters(image: np.ndarray) -> bool:
    return bool((image == 255).all(axis=2).any())


def test_swatch_and_name_are_drawn_top_left() -> None:
    drawn = add_legend(grey(200, 300), [("cat", RED)])
    assert (drawn == RED).all(axis=2)[:40, :40].any()
    assert has_letters(drawn)
    assert (drawn[150:] == 200).all()
    assert (drawn[:, 200:] == 200).all()


@pytest.mark.parametrize("size", [(1, 1), (8, 300), (300, 8), (40, 40), (64, 96), (2000, 3000)])
@pytest.mark.parametrize("count", [0, 1, 30, 254])
def test_any_size_holds_any_number(size: tuple[int, int], count: int) -> None:
    entries = [(f"a rather long name of class {index}", RED) for index in range(count)]
    assert add_legend(grey(*size), entries).shape == (*size, 3)


def test_legend_covers_a_part_alone() -> None:
    drawn = add_legend(grey(200, 300), [("x" * 400, RED)] * 50)
    untouched = (drawn == 200).all(axis=2)
    assert untouched[:, 200:].all()
    assert untouched[130:].all()


def test_letters_grow_with_the_photo() -> None:
    small = add_legend(grey(300, 300), [("cat", RED)])
    large = add_legend(grey(1200, 1200), [("cat", RED)])
    assert (large != 200).any(axis=2).sum() > 3 * (small != 200).any(axis=2).sum()


def test_names_without_a_font_lose_their_accents(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_font(*_: object) -> None:
        raise OSError

    monkeypatch.setattr(ImageFont, "truetype", no_font)
    monkeypatch.setattr(ImageFont, "load_default", lambda size: ImageFont.load_default_imagefont())
    assert legend._plain("vélo Straße 木") == "velo Strasse ?"
    assert has_letters(add_legend(grey(200, 300), [("vélo 木", RED)]))


def test_wide_letters_differ_from_each_other() -> None:
    first = add_legend(grey(200, 300), [("ü", RED)])
    second = add_legend(grey(200, 300), [("o", RED)])
    assert not np.array_equal(first, second)
