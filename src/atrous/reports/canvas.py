"""A white sheet to draw charts on: smooth lines and letters, in units of a web page's pixels."""

from typing import Literal

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from atrous.images.legend import WIDE_FONTS

Color = tuple[int, int, int]
Number = int | float
Point = tuple[Number, Number]
Anchor = Literal["left", "center", "right"]

INK: Color = (31, 41, 55)
FAINT: Color = (107, 114, 128)
GRID: Color = (229, 231, 235)
WHITE: Color = (255, 255, 255)
ACCENT: Color = (37, 99, 235)
SECOND: Color = (217, 119, 6)
PIXELS = 2  # of the picture per unit: sharp on fine screens, too
SMOOTHING = 2  # drawn so much larger, then reduced


class Canvas:
    """Draws in units; (0, 0) is the upper left corner."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self._factor = PIXELS * SMOOTHING
        size = (width * self._factor, height * self._factor)
        self._image = Image.new("RGB", size, WHITE)
        self._pen = ImageDraw.Draw(self._image)

    def line(self, points: list[Point], color: Color, width: Number = 1) -> None:
        """Draw a line through points."""
        if len(points) > 1:
            thick = max(1, round(width * self._factor))
            self._pen.line([self._at(*point) for point in points], color, thick, "curve")

    def dot(self, x: Number, y: Number, radius: Number, color: Color) -> None:
        """Draw a filled circle."""
        corners = (*self._at(x - radius, y - radius), *self._at(x + radius, y + radius))
        self._pen.ellipse(corners, fill=color)

    def box(self, x: Number, y: Number, width: Number, height: Number, color: Color) -> None:
        """Draw a filled rectangle."""
        if width > 0 and height > 0:
            left, top = self._at(x, y)
            right, bottom = self._at(x + width, y + height)
            self._pen.rectangle((left, top, max(right - 1, left), max(bottom - 1, top)), color)

    def text(
        self,
        x: Number,
        y: Number,
        text: str,
        *,
        color: Color = INK,
        size: Number = 12,
        anchor: Anchor = "left",
        bold: bool = False,
    ) -> None:
        """Write one line whose vertical middle is at y."""
        font = font_for(text, round(size * self._factor))
        place = {"left": "lm", "center": "mm", "right": "rm"}[anchor]
        stroke = round(self._factor * size / 36) if bold else 0
        self._pen.text(self._at(x, y), text, color, font, anchor=place, stroke_width=stroke)

    def upright_text(self, x: Number, y: Number, text: str, size: Number = 12) -> None:
        """Write one line from (x, y) upwards; x is its middle."""
        font = font_for(text, round(size * self._factor))
        length = max(1, round(font.getlength(text)))
        strip = Image.new("RGB", (length, round(1.6 * size * self._factor)), WHITE)
        middle = strip.height // 2
        ImageDraw.Draw(strip).text((0, middle), text, INK, font, anchor="lm")
        turned = strip.rotate(90, expand=True)
        left, bottom = self._at(x, y)
        self._image.paste(turned, (left - turned.width // 2, bottom - turned.height))

    def paste(self, other: "Canvas", x: int, y: int) -> None:
        """Lay another canvas on this one."""
        self._image.paste(other._image, self._at(x, y))

    def pixels(self) -> UInt8[np.ndarray, "height width 3"]:
        """The picture, RGB."""
        size = (self.width * PIXELS, self.height * PIXELS)
        return np.array(self._image.resize(size, Image.Resampling.BOX))

    def _at(self, x: Number, y: Number) -> tuple[int, int]:
        return round(x * self._factor), round(y * self._factor)


def text_width(text: str, size: Number = 12) -> float:
    """How wide a text gets, in units."""
    return float(font_for(text, round(size * PIXELS)).getlength(text)) / PIXELS


def shortened(text: str, widest: Number, size: Number = 12) -> str:
    """The text on one line, cut with an ellipsis where it is wider."""
    text = " ".join(text.split())
    if text_width(text, size) <= widest:
        return text
    while len(text) > 1 and text_width(text + "…", size) > widest:
        text = text[:-1]
    return text + "…"


def font_for(text: str, pixels: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """A font for a text: Pillow's own has the letters of English, and others are looked for."""
    if not text.isascii():
        for name in WIDE_FONTS:
            try:
                return ImageFont.truetype(name, pixels)
            except OSError:
                continue
    return ImageFont.load_default(pixels)
