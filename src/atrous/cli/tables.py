"""Columns of text for people; programs take `--json`."""

from collections.abc import Sequence


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print left-aligned columns, two spaces apart, under a header.

    >>> print_table(["MODEL", "MIOU"], [["shapes/1", "0.95"]])
    MODEL     MIOU
    shapes/1  0.95
    """
    lines = [header, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        print("  ".join(cells).rstrip())
