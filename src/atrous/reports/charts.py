"""The charts of a report: curves of a training, bars per class, confusion matrix, calibration."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64, UInt8

from atrous.images.draw import class_colors
from atrous.reports.canvas import (
    ACCENT,
    FAINT,
    GRID,
    INK,
    SECOND,
    WHITE,
    Canvas,
    Color,
    Number,
    Point,
    shortened,
    text_width,
)

Picture = UInt8[np.ndarray, "height width 3"]
TICKS = 5
LABEL_WIDTH = 150  # that a class name may take
NUMBERED_CLASSES = 24  # up to so many, the cells of a confusion matrix hold numbers


@dataclass(frozen=True)
class Series:
    """One line of a chart."""

    name: str
    values: Sequence[Number | None]  # by epoch, from 1; None leaves a gap
    color: Color = ACCENT


@dataclass(frozen=True)
class Bar:
    """One class of a bar chart."""

    name: str
    class_id: int
    value: Number | None  # 0..1
    low: Number | None = None  # of its interval
    high: Number | None = None


def curves(panels: Sequence[tuple[str, Sequence[Series]]]) -> Picture:
    """Line charts side by side over the epochs, each with its title."""
    width, height = 430, 280
    sheet = Canvas(width * len(panels), height)
    for index, (title, series) in enumerate(panels):
        sheet.paste(_line_chart(title, series, width, height), index * width, 0)
    return sheet.pixels()


def class_bars(title: str, bars: Sequence[Bar]) -> Picture:
    """A horizontal bar per class, 0..1, with a whisker for its interval."""
    row, top, left, scale = 26, 60, LABEL_WIDTH + 24, 420
    canvas = Canvas(left + scale + 70, top + row * len(bars) + 20)
    canvas.text(16, 20, title, size=14, bold=True)
    for tick in range(TICKS + 1):
        x = left + scale * tick / TICKS
        canvas.line([(x, top - 6), (x, canvas.height - 14)], GRID)
        canvas.text(x, top - 16, f"{tick / TICKS:.1f}", color=FAINT, size=11, anchor="center")
    for index, bar in enumerate(bars):
        y = top + row * index + row / 2
        name = shortened(bar.name, LABEL_WIDTH)
        canvas.text(left - 10, y, name, anchor="right")
        if bar.value is None:
            canvas.text(left + 6, y, "does not occur", color=FAINT, size=11)
            continue
        canvas.box(left, y - 8, scale * bar.value, 16, chart_color(bar.class_id))
        if bar.low is not None and bar.high is not None:
            ends = (left + scale * bar.low, left + scale * bar.high)
            canvas.line([(ends[0], y), (ends[1], y)], INK, 1.5)
            for end in ends:
                canvas.line([(end, y - 4), (end, y + 4)], INK, 1.5)
        canvas.text(left + scale + 12, y, f"{bar.value:.3f}")
    return canvas.pixels()


def confusion_matrix(
    title: str, names: Sequence[str], counts: Int64[np.ndarray, "classes classes"]
) -> Picture:
    """Shares of each true class's pixels by predicted class; rows are the truth."""
    count = len(names)
    cell = max(9, min(46, 760 // count))
    size = max(7, min(12, cell - 2))
    labels = [shortened(name, LABEL_WIDTH, size) for name in names]
    margin = round(max(text_width(label, size) for label in labels)) + 40
    canvas = Canvas(max(margin + cell * count + 24, 320), margin + cell * count + 60)
    canvas.text(16, 20, title, size=14, bold=True)
    canvas.text(16, 40, "rows: truth, columns: prediction; share of the row", color=FAINT, size=11)
    top = margin + 30
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    for row, label in enumerate(labels):
        middle = row * cell + cell / 2
        canvas.text(margin - 8, top + middle, label, size=size, anchor="right")
        canvas.upright_text(margin + middle, top - 8, label, size=size)
        for column in range(count):
            share = float(shares[row, column])
            x, y = margin + column * cell, top + row * cell
            canvas.box(x, y, cell - 1, cell - 1, _heat(share, row == column))
            if count <= NUMBERED_CLASSES and share >= 0.005:
                color = WHITE if share > 0.4 else INK
                where = (x + (cell - 1) / 2, y + (cell - 1) / 2)
                letters = min(12.0, cell / 2.6)
                text = f"{share * 100:.0f}"
                canvas.text(*where, text, color=color, size=letters, anchor="center")
    return canvas.pixels()


def calibration_chart(title: str, bins: Sequence[dict[str, Number]]) -> Picture:
    """Accuracy over the probability that the model gave; the diagonal is a perfect one."""
    left, top, side = 60, 56, 300
    canvas = Canvas(left + side + 30, top + side + 56)
    canvas.text(16, 20, title, size=14, bold=True)

    def at(x: Number, y: Number) -> Point:
        return left + side * x, top + side * (1 - y)

    for tick in range(TICKS + 1):
        value = tick / TICKS
        canvas.line([at(0, value), at(1, value)], GRID)
        canvas.line([at(value, 0), at(value, 1)], GRID)
        canvas.text(left - 8, at(0, value)[1], f"{value:.1f}", color=FAINT, size=11, anchor="right")
        x, y = at(value, 0)
        canvas.text(x, y + 14, f"{value:.1f}", color=FAINT, size=11, anchor="center")
    canvas.line([at(0, 0), at(1, 1)], FAINT, 1.2)
    points = [at(entry["confidence"], entry["accuracy"]) for entry in bins]
    canvas.line(points, ACCENT, 2)
    total = sum(entry["pixels"] for entry in bins) or 1
    for entry, point in zip(bins, points, strict=True):
        canvas.dot(*point, 2.5 + 6 * math.sqrt(entry["pixels"] / total), ACCENT)
    below = top + side + 38
    canvas.text(left + side / 2, below, "probability that the model gave", size=11, anchor="center")
    canvas.text(left, 42, "share of pixels that are right", size=11)
    return canvas.pixels()


def chart_color(class_id: int) -> Color:
    """A class's colour as in overlays; grey for what is black there."""
    red, green, blue = class_colors(256)[class_id].tolist()
    return (red, green, blue) if class_id else (148, 163, 184)


def _line_chart(title: str, series: Sequence[Series], width: int, height: int) -> Canvas:
    left, top, right, bottom = 58, 58, width - 22, height - 44
    canvas = Canvas(width, height)
    canvas.text(16, 20, title, size=14, bold=True)
    values = [value for line in series for value in line.values if value is not None]
    numbers = [value for value in values if math.isfinite(value)]
    ticks = nice_ticks(min(numbers, default=0.0), max(numbers, default=1.0))
    epochs = max((len(line.values) for line in series), default=1)

    def at(epoch: Number, value: Number) -> Point:
        share = (value - ticks[0]) / (ticks[-1] - ticks[0])
        along = (epoch - 1) / max(epochs - 1, 1)
        return left + (right - left) * along, bottom - (bottom - top) * share

    for tick in ticks:
        y = at(1, tick)[1]
        canvas.line([(left, y), (right, y)], GRID)
        canvas.text(left - 8, y, f"{tick:g}", color=FAINT, size=11, anchor="right")
    for epoch in sorted({1, (1 + epochs) // 2, epochs}):
        x = at(epoch, ticks[0])[0]
        canvas.text(x, bottom + 14, str(epoch), color=FAINT, size=11, anchor="center")
    canvas.text((left + right) / 2, bottom + 32, "epoch", color=FAINT, size=11, anchor="center")
    x_legend = float(left)
    for line in series:
        known = [(n, v) for n, v in enumerate(line.values, 1) if v is not None]
        points = [at(n, v) for n, v in known if math.isfinite(v)]
        canvas.line(points, line.color, 2)
        for point in points if len(points) < 30 else points[-1:]:
            canvas.dot(*point, 2.5, line.color)
        canvas.dot(x_legend + 4, 42, 4, line.color)
        canvas.text(x_legend + 13, 42, line.name, size=11)
        x_legend += 28 + text_width(line.name, 11)
    return canvas


def nice_ticks(low: Number, high: Number) -> list[float]:
    """Round numbers that cover low..high, about five of them.

    >>> nice_ticks(0.13, 0.92)
    [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    """
    rough = max(high - low, 1e-6 * max(1.0, abs(high))) / TICKS
    power = 10 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [round(float(step * index), 12) for index in range(first, max(last, first + 1) + 1)]


def _heat(share: Number, is_right: bool) -> Color:
    """White for none, blue for right ones, orange for mistakes."""
    full = ACCENT if is_right else SECOND
    share = math.sqrt(share)  # small mistakes are to be seen
    red, green, blue = (round(255 + (value - 255) * share) for value in full)
    return red, green, blue
