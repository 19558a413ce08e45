"""The legend of an overlay: which colour means which class."""

import unicodedata
from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

# Pillow's own font has the letters of English alone; these are looked for where names need more.
WIDE_FONTS = ("DejaVuSans.ttf", "NotoSans-Regular.ttf", "Arial Unicode.ttf", "arial.ttf")
FONT_SHARE = 28  # the legend's letters are about this part of the photo's shorter side
FONT_MIN, FONT_MAX = 9, 40  # pixels
LEGEND_SHARE = 0.6  # of the photo's height or width, that a legend may cover at most
SHADE = 0.3  # how much of the photo shows through the legend's panel

Entry = tuple[str, tuple[int, ...]]  # of the legend: a class name and its RGB
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def add_legend(
    drawn: UInt8[np.ndarray, "height width 3"],
    entries: Sequence[Entry],
) -> UInt8[np.ndarray, "height width 3"]:
    """Write name and colour of each entry on a shaded panel, top left.

    Letters follow the size of the photo. Entries that do not fit are counted in the last line;
    a photo of a few pixels gets no legend.
    """
    height, width = drawn.shape[:2]
    letters = int(np.clip(min(height, width) / FONT_SHARE, FONT_MIN, FONT_MAX))
    font, entries = _font_for(entries, letters)
    line, gap = round(letters * 1.5), max(2, letters // 3)
    room = max(1, int((height * LEGEND_SHARE - 2 * gap) / line))
    if not entries or height < line + 2 * gap:
        return drawn
    if len(entries) > room:
        left_out = len(entries) - room + 1
        entries = [*entries[: room - 1], (f"+{left_out} more", ())]
    widest = width * LEGEND_SHARE - letters - 3 * gap
    texts = [_shortened(name, font, widest) for name, _ in entries]
    panel_width = min(width, round(max(font.getlength(text) for text in texts)) + letters + 4 * gap)
    panel_height = min(height, len(entries) * line + 2 * gap)
    panel = drawn[:panel_height, :panel_width]
    panel[:] = (panel * SHADE).astype(np.uint8)
    canvas = Image.fromarray(drawn)
    pen = ImageDraw.Draw(canvas)
    for row, (text, (_, color)) in enumerate(zip(texts, entries, strict=True)):
        middle = gap + row * line + line // 2
        if color:
            swatch = (gap, middle - letters // 2, gap + letters, middle + letters // 2)
            pen.rectangle(swatch, fill=color, outline=(255, 255, 255))
        pen.text((letters + 3 * gap, middle), text, (255, 255, 255), font, anchor="lm")
    return np.array(canvas)


def _font_for(entries: Sequence[Entry], size: int) -> tuple[Font, Sequence[Entry]]:
    """A font for the names; where the machine has none for them, they lose their accents."""
    if all(name.isascii() for name, _ in entries):
        return ImageFont.load_default(size), entries
    for file_name in WIDE_FONTS:
        try:
            return ImageFont.truetype(file_name, size), entries
        except OSError:
            continue
    return ImageFont.load_default(size), [(_plain(name), color) for name, color in entries]


def _plain(name: str) -> str:
    """The name in ASCII, with '?' for what has no likeness there."""
    letters = unicodedata.normalize("NFKD", name.replace("ß", "ss"))
    bare = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return bare.encode("ascii", "replace").decode()


def _shortened(text: str, font: Font, widest: float) -> str:
    text = " ".join(text.split())
    if font.getlength(text) <= widest:
        return text
    while len(text) > 1 and font.getlength(text + "…") > widest:
        text = text[:-1]
    return text + "…"
