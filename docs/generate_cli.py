"""Writes docs/cli.md from what `--help` says: python docs/generate_cli.py."""

from pathlib import Path
from typing import Any

import typer

from atrous.cli.main import app

TARGET = Path(__file__).with_name("cli.md")
WIDTH = 96  # fixed, so that the text does not follow the terminal it was made in
INTRODUCTION = """\
# The command line

What `--help` says of every command. This page is made by `python docs/generate_cli.py`; a test
fails where it is older than the code.

Exit codes: 0 on success, 1 on a failure, 2 on wrong usage, 130 where `atrous train` was stopped by
Ctrl-C. A failure is one line on standard error that begins with `error:`; `atrous --debug` before
a command, or `ATROUS_DEBUG=1`, adds the traceback.
"""


def cli_page() -> str:
    """The whole page, in Markdown."""
    root = typer.main.get_command(app)
    return "\n".join([INTRODUCTION, *_sections(root, "atrous", None)])


def _sections(command: Any, name: str, parent: Any) -> list[str]:
    """A section for a command, then one for each of its sub-commands."""
    context = command.context_class(
        command, info_name=name, parent=parent, terminal_width=WIDTH, max_content_width=WIDTH
    )
    lines = [line.rstrip() for line in command.get_help(context).splitlines()]
    text = "\n".join(lines)
    sections = [f"## {context.command_path}\n\n```text\n{text}\n```\n"]
    if hasattr(command, "list_commands"):
        for child in command.list_commands(context):
            sections += _sections(command.get_command(context, child), child, context)
    return sections


if __name__ == "__main__":
    TARGET.write_text(cli_page(), encoding="utf-8")
