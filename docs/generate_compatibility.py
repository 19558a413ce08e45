"""Writes docs/compatibility.md and the README's table: python docs/generate_compatibility.py.

The rows are those of benchmarks/results/compatibility.json, which `make clients` writes.
"""

import json
from itertools import groupby
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
MEASURED = ROOT / "benchmarks" / "results" / "compatibility.json"
PAGE = ROOT / "docs" / "compatibility.md"
README = ROOT / "README.md"
BEGIN, END = "<!-- compatibility: begin -->", "<!-- compatibility: end -->"
INTRODUCTION = """\
# Compatibility

Every line is a test in `tests/clients` that drove this client, unchanged but for host and key,
against a live server on {date}. Class maps, ids and confidences of the masks were compared pixel by
pixel with an independent decode of what the client sent, but for pixels so near to a change of
class that rounding decides (at most one in fifty). `make clients` runs the tests and writes this
page.

"Bytes replayed": the request of a language's sample on the hosted API's page, sent byte for byte
over a socket as that language's HTTP library writes it. "No" names what the client itself can't do,
which the test shows as well.
"""


def compatibility_page(measured: dict[str, Any]) -> str:
    """Give the whole page, in Markdown: a table of calls for each client and version."""
    parts = [INTRODUCTION.format(date=measured["date"])]
    for (client, version), rows in by_version(measured["rows"]):
        parts.append(f"## {client} {version}".rstrip() + "\n")
        lines = [f"| {row['call']} | {verdict(row)} |" for row in rows]
        parts.append("\n".join(["| call | works |", "|---|---|", *lines]) + "\n")
    return "\n".join(parts)


def short_table(measured: dict[str, Any]) -> str:
    """Give one row per client, for the README."""
    clients: dict[str, list[tuple[str, list[dict[str, Any]]]]] = {}
    for (client, version), rows in by_version(measured["rows"]):
        clients.setdefault(client, []).append((version, rows))
    lines = ["| client | versions | calls that work |", "|---|---|---|"]
    for client, versions in clients.items():
        names = ", ".join(version for version, _ in versions)
        calls = [row for _, rows in versions for row in rows]
        working = sum(verdict(row) == "yes" for row in calls)
        lines.append(f"| {client} | {names} | {working} of {len(calls)} |")
    return "\n".join(lines)


def by_version(rows: list[dict[str, Any]]) -> list[tuple[tuple[str, str], list[dict[str, Any]]]]:
    """Bring the rows of each client and version together, in the order of their first ones."""
    names = [(row["client"], row["version"]) for row in rows]
    order = {name: names.index(name) for name in names}
    ordered = sorted(rows, key=lambda row: order[row["client"], row["version"]])
    groups = groupby(ordered, key=lambda row: (row["client"], row["version"]))
    return [(name, list(group)) for name, group in groups]


def verdict(row: dict[str, Any]) -> str:
    """Say in a word or a clause whether a call works."""
    if not row["works"]:
        return "**fails**"
    return f"no: {row['but']}" if row["but"] else "yes"


def with_short_table(readme: str, measured: dict[str, Any]) -> str:
    """Give the README with its table between the two marks made anew."""
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{short_table(measured)}\n{END}{after}"


def main() -> None:
    """Write both."""
    measured = json.loads(MEASURED.read_text("utf-8"))
    PAGE.write_text(compatibility_page(measured), encoding="utf-8")
    README.write_text(with_short_table(README.read_text("utf-8"), measured), encoding="utf-8")


if __name__ == "__main__":
    main()
