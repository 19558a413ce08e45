"""`atrous recipe`: what a recipe file may hold."""

import json

import typer

from atrous.domain.recipe_schema import recipe_schema

recipe_app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Recipes of trainings: every choice, as a file.",
)


@recipe_app.callback()
def recipe_callback() -> None:
    """Recipes of trainings: every choice, as a file."""


@recipe_app.command("schema")
def schema_command() -> None:
    """Print the JSON schema of the file that `atrous train --recipe` takes.

    A file may give any of the fields; what it leaves out is decided from the data set and the
    machine. Every run writes one: `recipe.json` in its folder.

    \b
    Example:  atrous recipe schema > recipe.schema.json
    """
    print(json.dumps(recipe_schema(), indent=2))
