import pytest

from atrous.domain.geometry import Box, Size


def test_size_is_height_first_but_read_width_first() -> None:
    size = Size(480, 640)
    assert (size.height, size.width, size.area) == (480, 640, 307_200)
    assert str(size) == "640x480"


def test_box_excludes_right_and_bottom() -> None:
    assert Box(left=3, top=5, right=4, bottom=9).size == Size(height=4, width=1)


def test_values_can_be_keys_and_can_not_change() -> None:
    assert len({Size(1, 2), Size(1, 2), Size(2, 1)}) == 2
    with pytest.raises(AttributeError):
        Size(1, 2).height = 3  # type: ignore[misc]
