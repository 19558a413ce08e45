"""The compatibility tables are what the recorded run says."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
ROWS = [
    {"client": "curl", "version": "8.1", "call": "-d", "but": "", "works": True},
    {"client": "sdk", "version": "1.0", "call": "infer", "but": "", "works": True},
    {"client": "curl", "version": "8.1", "call": "-F", "but": "", "works": False},
    {"client": "sdk", "version": "1.0", "call": "unload", "but": "no key", "works": True},
    {"client": "curl", "version": "7.9", "call": "-d", "but": "", "works": True},
]


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    path = ROOT / "docs" / "generate_compatibility.py"
    spec = importlib.util.spec_from_file_location("generate_compatibility", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def measured(generator) -> dict:
    return json.loads(generator.MEASURED.read_text())


def test_the_page_is_what_was_measured(generator, measured) -> None:
    page = generator.PAGE.read_text()
    assert page == generator.compatibility_page(measured), "run: make clients"


def test_the_readme_is_what_was_measured(generator, measured) -> None:
    readme = generator.README.read_text()
    assert generator.BEGIN in readme
    assert readme == generator.with_short_table(readme, measured), "run: make clients"


def test_nothing_fails_in_the_recorded_run(measured) -> None:
    assert [row for row in measured["rows"] if not row["works"]] == []


def test_the_tables(generator) -> None:
    measured = {"date": "2026-11-21", "rows": ROWS}
    assert generator.short_table(measured).splitlines()[2:] == [
        "| curl | 8.1, 7.9 | 2 of 3 |",
        "| sdk | 1.0 | 1 of 2 |",
    ]
    page = generator.compatibility_page(measured)
    assert "## curl 8.1\n\n| call | works |\n|---|---|\n| -d | yes |\n| -F | **fails** |\n" in page
    assert "| unload | no: no key |" in page
    text = f"before {generator.BEGIN} old {generator.END} after"
    made = generator.with_short_table(text, measured)
    assert made.startswith("before ")
    assert made.endswith(" after")
    assert generator.with_short_table(made, measured) == made
