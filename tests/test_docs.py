"""The documents say what the code does: commands, routes, settings, fields, errors, links."""

import dataclasses
import importlib.util
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from atrous.cli.main import app
from atrous.domain import errors
from atrous.domain.recipes import TrainingRecipe
from atrous.server.app import create_app
from atrous.server.errors import describe_error
from atrous.server.settings import ServerSettings
from atrous.store import open_store

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
TOP_PAGES = [ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md")]
PAGES = [path for path in TOP_PAGES if path.exists()] + sorted(DOCS.rglob("*.md"))
ERRORS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, errors.AtrousError)
]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
SPAN = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
COMMAND = re.compile(r"(?:^|[|;(]|&&|\bnice|[A-Z_]+=\S+|bin/)\s*(atrous|make)(?=\s|$)([^|;&)#]*)")


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def table_rows(path: Path) -> dict[str, list[str]]:
    """The cells of every table row, by the word in backticks that begins it."""
    rows = {}
    for line in path.read_text().splitlines():
        if line.startswith("| `"):
            first, *cells = [cell.strip(" `") for cell in line.strip("|").split("|")]
            rows[first] = cells
    return rows


def shown(default: Any) -> str:
    if default is None:
        return "none"
    return str(default).lower() if isinstance(default, bool) else str(default)


def test_cli_page_is_what_help_says() -> None:
    path = DOCS / "generate_cli.py"
    spec = importlib.util.spec_from_file_location("generate_cli", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (DOCS / "cli.md").read_text() == module.cli_page(), "run: python docs/generate_cli.py"


def test_every_route_is_described(tmp_path: Path) -> None:
    with open_store(tmp_path / "home") as store:
        paths = create_app(ServerSettings(), store).openapi()["paths"]
    routes = {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}
    text = (DOCS / "http_api.md").read_text() + (DOCS / "platform_api.md").read_text()
    described = set(re.findall(r"^## `([A-Z]+ /\S*)`$", text, re.MULTILINE))
    listed = set(re.findall(r"^\| `([A-Z]+ /\S*)` \|", text, re.MULTILINE))
    assert described == routes
    assert listed == routes


def test_every_setting_is_described_with_its_default() -> None:
    rows = table_rows(DOCS / "serving.md")
    for field in dataclasses.fields(ServerSettings):
        if field.name == "require_key":  # --no-auth alone sets it
            continue
        assert field.name.upper() in rows, field.name
        assert rows[field.name.upper()][0] == shown(field.default), field.name


def test_every_choice_of_a_training_is_described_with_its_default() -> None:
    rows = table_rows(DOCS / "training.md")
    options = option_names(command_at(["train"]))
    for field in dataclasses.fields(TrainingRecipe):
        assert field.name in rows, field.name
        default, option = rows[field.name][:2]
        chosen = field.default is dataclasses.MISSING
        assert default == ("chosen" if chosen else shown(field.default)), field.name
        assert option in {"", *options}, field.name


@pytest.mark.parametrize("kind", ERRORS)
def test_every_error_is_described_with_its_status(kind: type[errors.AtrousError]) -> None:
    status, exit_code, *_ = table_rows(DOCS / "errors.md")[kind.__name__]
    assert int(status) == describe_error(kind("message"))[0]
    assert int(exit_code) == 1


@pytest.mark.parametrize("path", TOP_PAGES, ids=name_of)
def test_the_first_pages_are_there(path: Path) -> None:
    assert path.exists()


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_links_lead_somewhere(path: Path) -> None:
    for target in LINK.findall(FENCE.sub("", path.read_text())):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        file, _, anchor = target.partition("#")
        found = (path.parent / file).resolve() if file else path
        assert found.exists(), f"{target} leads nowhere"
        assert found.is_relative_to(ROOT), f"{target} leads out of the project"
        if anchor and found.suffix == ".md":
            assert anchor in anchors_of(found), f"{target}: no such heading"


def anchors_of(path: Path) -> set[str]:
    """The headings as GitHub makes anchors of them."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", path.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_every_command_written_exists(path: Path) -> None:
    for program, words in commands_in(path.read_text()):
        if program == "make":
            targets = [word for word in words if "=" not in word]
            assert set(targets) <= make_targets(), f"make {' '.join(words)}"
        else:
            check_atrous(words)


def test_the_commands_are_found() -> None:
    text = "`atrous check A --x` and\n```bash\nK=1 atrous keys list && atrous up\nmake a P=1\n```\n"
    assert list(commands_in(text)) == [
        ("atrous", ["keys", "list"]),
        ("atrous", ["up"]),
        ("make", ["a", "P=1"]),
        ("atrous", ["check", "A", "--x"]),
    ]
    for wrong in (["chek"], ["train", "--epoch"], ["keys", "lst"], ["--verbose"]):
        with pytest.raises(AssertionError):
            check_atrous(wrong)


def commands_in(text: str) -> Iterator[tuple[str, list[str]]]:
    """The program and words of each command in fences (but output, `text`) and inline code."""
    lines = [
        line
        for language, block in FENCE.findall(text)
        if language in ("", "bash", "sh", "console")
        for line in block.replace("\\\n", " ").splitlines()
    ]
    for line in lines + SPAN.findall(FENCE.sub("", text)):
        for program, rest in COMMAND.findall(line.removeprefix("$ ")):
            yield program, shlex.split(rest.replace("'", "").replace('"', ""))


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def check_atrous(words: list[str]) -> None:
    """Every sub-command and option of a line exists."""
    command = typer.main.get_command(app)
    names: list[str] = []
    for word in words:
        if word.startswith("--"):
            known = option_names(command)
            assert word.partition("=")[0] in known, f"atrous {' '.join(words)}: no {word}"
        elif hasattr(command, "commands") or hasattr(command, "list_commands"):
            names.append(word)
            command = command_at(names)


def command_at(names: list[str]) -> Any:
    command: Any = typer.main.get_command(app)
    for name in names:
        context = command.context_class(command)
        command = command.get_command(context, name)
        assert command is not None, f"there is no command atrous {' '.join(names)}"
    return command


def option_names(command: Any) -> set[str]:
    declared = {
        name for option in command.params for name in (*option.opts, *option.secondary_opts)
    }
    return {"--help"} | {name for name in declared if name.startswith("--")}
