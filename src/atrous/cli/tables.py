"""Columns of text for people; programs take `--json`."""

from collections.abc import Sequence


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print left-aligned columns, two spaces apart, under a header.

    >>> print_table(["MODEL", "MIOU"], [["shapes/1", "0.95"]])
    MODEL     MIOU
    shapes/1  0.95
    """
    for line in table_lines(header, rows):
        print(line)


def table_lines(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The same as lines of text."""
    lines = [header, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    padded = (
        [cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in lines
    )
    return ["  ".join(cells).rstrip() for cells in padded]
