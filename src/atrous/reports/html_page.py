"""One self-contained HTML page: all pictures inside, nothing fetched, every text escaped."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

STYLE = """
:root { color-scheme: light; font: 15px/1.5 system-ui, "Segoe UI", Roboto, sans-serif; }
body { margin: 0; background: #f3f4f6; color: #1f2937; }
main { max-width: 1180px; margin: 0 auto; padding: 32px 20px 64px; }
h1 { font-size: 28px; margin: 0; }
h2 { font-size: 20px; margin: 40px 0 12px; }
h3 { font-size: 15px; margin: 24px 0 8px; }
.subtitle, figcaption, .note { color: #6b7280; }
.card { background: #fff; border-radius: 12px; padding: 20px; margin: 12px 0;
  box-shadow: 0 1px 3px rgb(0 0 0 / .09); overflow-x: auto; }
.tiles { display: flex; flex-wrap: wrap; gap: 12px; }
.tile { background: #fff; border-radius: 12px; padding: 14px 20px; flex: 1 1 150px;
  box-shadow: 0 1px 3px rgb(0 0 0 / .09); }
.tile b { display: block; font-size: 26px; font-variant-numeric: tabular-nums; }
.tile small { color: #6b7280; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 600; color: #6b7280; border-bottom: 1px solid #e5e7eb; }
th, td { padding: 6px 14px 6px 0; vertical-align: top; }
td { border-bottom: 1px solid #f3f4f6; overflow-wrap: anywhere; }
td.number, th.number { text-align: right; white-space: nowrap; }
figure { margin: 0 0 18px; }
figure img { max-width: 100%; height: auto; display: block; border-radius: 6px; }
.pictures { display: flex; flex-wrap: wrap; gap: 12px; align-items: flex-start; }
.pictures .card { margin: 0; max-width: 100%; box-sizing: border-box; }
""".strip()
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


@dataclass(frozen=True)
class Picture:
    """A picture file and what it shows."""

    file: bytes  # PNG or JPEG
    caption: str
    width: int | None = None  # in pixels of the page; None: as wide as there is room


@dataclass(frozen=True)
class Tile:
    """One figure, large."""

    name: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class Table:
    """Rows of text; columns but the first are numbers where `is_numeric`."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    is_numeric: bool = True


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it, in this order."""

    title: str
    note: str = ""
    tiles: Sequence[Tile] = ()
    table: Table | None = None
    charts: Sequence[Picture] = ()  # beside each other
    photos: Sequence[Picture] = ()  # below each other
    is_of_photos: bool = False  # it shows photos of the data set, or names them


def html_page(title: str, subtitle: str, sections: Sequence[Section]) -> str:
    """Write the page; any text may hold anything."""
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><main>",
        f'<h1>{escape(title)}</h1><div class="subtitle">{escape(subtitle)}</div>',
        *(_section(section) for section in sections),
        "</main></body></html>",
    ]
    return "\n".join(parts) + "\n"


def shown(value: Any) -> str:
    """A JSON value for people: figures with four digits, a dash for none.

    >>> shown(0.71239), shown(None), shown(1234567), shown([0.5, None])
    ('0.7124', '-', '1,234,567', '0.5000, -')
    """
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4f}" if abs(value) < 1 else f"{value:g}"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, (list, tuple)):
        return ", ".join(shown(entry) for entry in value)
    if isinstance(value, dict):
        return ", ".join(f"{key} {shown(entry)}" for key, entry in value.items())
    return str(value)


def _section(section: Section) -> str:
    parts = [f"<h2>{escape(section.title)}</h2>"]
    if section.note:
        parts.append(f'<p class="note">{escape(section.note)}</p>')
    if section.tiles:
        tiles = "".join(_tile(tile) for tile in section.tiles)
        parts.append(f'<div class="tiles">{tiles}</div>')
    if section.table:
        parts.append(f'<div class="card">{_table(section.table)}</div>')
    if section.charts:
        charts = "".join(f'<div class="card">{_figure(chart)}</div>' for chart in section.charts)
        parts.append(f'<div class="pictures">{charts}</div>')
    if section.photos:
        photos = "".join(_figure(photo) for photo in section.photos)
        parts.append(f'<div class="card">{photos}</div>')
    return "\n".join(parts)


def _tile(tile: Tile) -> str:
    note = f"<small>{escape(tile.note)}</small>" if tile.note else ""
    return f'<div class="tile">{escape(tile.name)}<b>{escape(tile.value)}</b>{note}</div>'


def _table(table: Table) -> str:
    kind = ' class="number"' if table.is_numeric else ""

    def line(cells: Sequence[str], tag: str) -> str:
        first, *others = cells
        rest = "".join(f"<{tag}{kind}>{escape(cell)}</{tag}>" for cell in others)
        return f"<tr><{tag}>{escape(first)}</{tag}>{rest}</tr>"

    rows = "".join(line(row, "td") for row in table.rows)
    return f"<table><thead>{line(table.head, 'th')}</thead><tbody>{rows}</tbody></table>"


def _figure(picture: Picture) -> str:
    kind = "png" if picture.file.startswith(b"\x89PNG") else "jpeg"
    data = base64.b64encode(picture.file).decode("ascii")
    width = f' width="{picture.width}"' if picture.width else ""
    caption = escape(picture.caption, quote=True)
    image = f'<img{width} alt="{caption}" src="data:image/{kind};base64,{data}">'
    return f"<figure>{image}<figcaption>{caption}</figcaption></figure>"
