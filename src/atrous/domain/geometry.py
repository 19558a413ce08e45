"""Sizes and boxes in pixels, height first."""

from dataclasses import dataclass

SIDE_STEP = 16  # a network's maps lie evenly on a photo whose sides are multiples of its stride


@dataclass(frozen=True)
class Size:
    """Height and width in pixels.

    >>> Size(height=480, width=640).area
    307200
    """

    height: int
    width: int

    @property
    def area(self) -> int:
        """Number of pixels."""
        return self.height * self.width

    def with_longer_side(self, pixels: int) -> "Size":
        """The same shape with a longer side of `pixels`, both sides rounded to multiples of 16.

        A size whose longer side is that already stays as it is.

        >>> Size(height=360, width=480).with_longer_side(640)
        Size(height=480, width=640)
        >>> Size(height=360, width=480).with_longer_side(480)
        Size(height=360, width=480)
        """
        sides = (self.height, self.width)
        if pixels == max(sides):
            return self
        factor = pixels / max(sides)
        return Size(*(max(1, round(side * factor / SIDE_STEP)) * SIDE_STEP for side in sides))

    def __str__(self) -> str:
        """Width first, as people write it: `640x480`."""
        return f"{self.width}x{self.height}"


@dataclass(frozen=True)
class Box:
    """A rectangle of pixels; `right` and `bottom` are excluded.

    >>> Box(left=10, top=20, right=30, bottom=60).size
    Size(height=40, width=20)
    """

    left: int
    top: int
    right: int
    bottom: int

    @property
    def size(self) -> Size:
        """Height and width of the box."""
        return Size(self.bottom - self.top, self.right - self.left)
