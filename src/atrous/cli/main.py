"""The command `atrous` itself: its sub-commands, and what it says when something goes wrong."""

import importlib
import os
import sys
from types import TracebackType
from typing import Annotated, Any

import typer

import atrous
from atrous.cli.usage_errors import reworded
from atrous.cli.written_folders import explain
from atrous.domain.errors import CPU_ALLOCATION, AtrousError

DEBUG_VARIABLE = "ATROUS_DEBUG"
NO_MEMORY = (*CPU_ALLOCATION, "out of memory", "bad_alloc")  # of torch and the engines
FAILURE = 1  # wrong usage is 2, by typer

# Command to where it is written: a sub-command is imported when it is called, so that
# `atrous --version` does not wait for the libraries of all the others.
COMMANDS = {
    "up": "atrous.cli.up:up_command",
    "serve": "atrous.cli.serve:serve_command",
    "worker": "atrous.cli.worker:worker_command",
    "check": "atrous.cli.check:check_command",
    "train": "atrous.cli.train:train_command",
    "recipe": "atrous.cli.recipe:recipe_app",
    "evaluate": "atrous.cli.evaluate:evaluate_command",
    "predict": "atrous.cli.predict:predict_command",
    "bench": "atrous.cli.bench:bench_command",
    "convert": "atrous.cli.convert:convert_command",
    "export": "atrous.cli.export:export_command",
    "sam2": "atrous.cli.sam2:sam2_app",
    "models": "atrous.cli.models:models_app",
    "keys": "atrous.cli.keys:keys_app",
    "clean": "atrous.cli.clean:clean_command",
    "connect": "atrous.cli.connect:connect_command",
}


def load_command(name: str) -> Any:
    """Import the sub-command of this name and give it as typer's command object."""
    module, attribute = COMMANDS[name].split(":")
    found = getattr(importlib.import_module(module), attribute)
    if isinstance(found, typer.Typer):
        command = typer.main.get_command(found)
    else:
        alone = typer.Typer(add_completion=False, rich_markup_mode=None)
        alone.command(name)(found)
        command = typer.main.get_command(alone)
    command.name = name
    return command


class CommandsOnDemand(typer.core.TyperGroup):
    """A group of commands that imports each one when it is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Give the names, in the order in which a newcomer meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Give a command, or None, which typer answers with exit code 2."""
        return load_command(cmd_name) if cmd_name in COMMANDS else None

    def invoke(self, ctx: Any) -> Any:
        """Read the command's own options and run it; what is wrong of them is told plainly."""
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            raise reworded(error) from None


app = typer.Typer(cls=CommandsOnDemand, rich_markup_mode=None, pretty_exceptions_enable=False)


def _show_version(wanted: bool) -> bool:
    if wanted:
        print(f"atrous {atrous.__version__}")
        raise typer.Exit()
    return wanted


@app.callback()
def options_of_all_commands(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Say which.")
    ] = False,
    debug: Annotated[
        bool,
        typer.Option("--debug", help=f"Show tracebacks; {DEBUG_VARIABLE}=1 does the same."),
    ] = False,
) -> None:
    """Train DeepLabv3 models on labelled pictures, and serve their masks over HTTP.

    \b
    Try it:  atrous up
    Train:   atrous check pictures/  &&  atrous train pictures/ --as cats
    Serve:   atrous keys create laptop  &&  atrous serve
    """
    if debug:
        os.environ[DEBUG_VARIABLE] = "1"  # in the environment: child processes follow it too


def main() -> None:
    """Run the command line; exit 0 on success, 1 on a failure, 2 on wrong usage."""
    sys.excepthook = _explain
    try:
        # Not `app()`, which would put typer's own excepthook over this one.
        typer.main.get_command(app)(prog_name="atrous")
    except AtrousError as error:
        if os.environ.get(DEBUG_VARIABLE):
            raise
        print(f"error: {_one_line(str(error))}", file=sys.stderr)
        sys.exit(FAILURE)


def _explain(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    """Report what nobody foresaw; Python then exits with 1 by itself."""
    if os.environ.get(DEBUG_VARIABLE):
        sys.__excepthook__(kind, error, traceback)
    elif isinstance(error, OSError):
        print(f"error: {_one_line(explain(error))}", file=sys.stderr)
    elif isinstance(error, MemoryError) or any(word in str(error) for word in NO_MEMORY):
        print(
            f"error: out of memory ({_one_line(str(error))[:200]}); close other programs and try "
            "again, a training with --resume, or train anew with a smaller --size",
            file=sys.stderr,
        )
    else:
        print(
            f"error: {kind.__name__}: {_one_line(str(error))} "
            f"(a fault of atrous; set {DEBUG_VARIABLE}=1 for a traceback to report)",
            file=sys.stderr,
        )


def _one_line(message: str) -> str:
    return " ".join(message.split())
