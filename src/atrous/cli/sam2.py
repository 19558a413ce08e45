"""`atrous sam2`: add, list and remove models that segment whatever is pointed at."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from atrous.cli.sam2_embed import embed_command
from atrous.cli.tables import print_table

if TYPE_CHECKING:
    from atrous.sam2.models import Sam2Package

sam2_app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="SAM 2: add, list and remove models, and embed photos ahead of the first click.",
)
NEEDED = ("torch", "transformers", "onnx", "onnxscript", "safetensors")
OTHER_WEIGHTS = "note: these are not the weights that Meta published"
OTHER_FILE = (
    "note: whether these are the weights that Meta published is not known: the SHA-256 is known of "
    "its .pt files alone"
)


@sam2_app.command()
def add(
    variant: Annotated[
        str, typer.Argument(help="hiera_tiny, hiera_small, hiera_b_plus or hiera_large.")
    ],
    version: Annotated[
        str | None, typer.Option(help="2.0 or 2.1; the newest, or what the checkpoint is.")
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(help="A .pt or .safetensors file, or a folder with one; else it is fetched."),
    ] = None,
    source: Annotated[
        Literal["hub", "meta"],
        typer.Option(help="Fetch from the Hugging Face hub (or HF_ENDPOINT), or from Meta."),
    ] = "hub",
) -> None:
    """Fetch an official checkpoint, convert it to ONNX, and prove that it says the same.

    Needs the extra: pip install 'atrous[sam2]'. Serving needs neither torch nor transformers.
    Nothing in the file is run: it is read as tensors alone. What is fetched is compared with
    the published SHA-256.

    \b
    Example:  atrous sam2 add hiera_tiny
              atrous sam2 add hiera_large --version 2.0 --source meta
              atrous sam2 add hiera_tiny --checkpoint sam2.1_hiera_tiny.pt
    """
    _require_conversion()
    from atrous.jobs.sam2_add import add_sam2
    from atrous.store import home_folder
    from atrous.store.home import Home

    home = Home(home_folder())
    home.create()
    package = add_sam2(
        home.sam2_models,
        variant,
        version=version,
        checkpoint=checkpoint,
        source=source,
        progress=_Fetched(),
    )
    difference = package.manifest["parity"]["logits"]
    print(f"{package.name}: converted, logits within {difference:.1e} of torch's")
    if not package.manifest["checkpoint"]["official"]:
        print(OTHER_FILE if package.manifest.get("layout") == "transformers" else OTHER_WEIGHTS)
    print(package.folder)


@sam2_app.command("list")
def list_models(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the SAM 2 models that a server answers for.

    \b
    Example:  atrous sam2 list --json
    """
    from atrous.sam2.models import installed
    from atrous.store import home_folder
    from atrous.store.home import Home

    packages, damaged = installed(Home(home_folder()).sam2_models)
    models = [_describe(package) for package in packages]
    if as_json:
        print(json.dumps(models, indent=2))
    else:
        rows = [
            [one["name"], one["version"], "official" if one["official"] else "own", one["size"]]
            for one in models
        ]
        print_table(["MODEL", "SAM", "WEIGHTS", "SIZE"], rows)
    for error in damaged:
        print(f"warning: {error}", file=sys.stderr)


@sam2_app.command()
def remove(
    name: Annotated[str, typer.Argument(help="As `atrous sam2 list` shows it: hiera_tiny-2.1.")],
) -> None:
    """Remove a SAM 2 model; a server that has it loaded goes on answering until it restarts.

    \b
    Example:  atrous sam2 remove hiera_tiny-2.1
    """
    from atrous.sam2.models import remove_package
    from atrous.store import home_folder
    from atrous.store.home import Home

    remove_package(Home(home_folder()).sam2_models, name)
    print(f"removed {name}")


sam2_app.command("embed")(embed_command)


class _Fetched:
    """Says on the terminal how much came, once per tenth."""

    def __init__(self) -> None:
        self._said = 0

    def __call__(self, done: int, total: int) -> None:
        tenth = 10 * done // total
        if tenth > self._said:
            self._said = tenth
            print(f"fetched {done / 1e6:.0f} of {total / 1e6:.0f} MB")


def _require_conversion() -> None:
    """Raise MissingDependency where only the light server is installed."""
    import importlib.util

    from atrous.domain.errors import MissingDependency

    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingDependency(
            f"converting SAM 2 needs {', '.join(missing)}: pip install 'atrous[sam2]'; a model "
            "that was converted elsewhere can be copied into the folder sam2 of the data folder"
        )


def _describe(package: Sam2Package) -> dict[str, str]:
    networks = [package.folder / name for name in package.manifest["checksums"]]
    size_bytes = sum(path.stat().st_size for path in networks)
    return {
        "name": package.name,
        "variant": package.variant,
        "version": package.version,
        "official": package.manifest.get("checkpoint", {}).get("official", False),
        "size": f"{size_bytes / 1e6:.0f} MB",
        "folder": str(package.folder),
    }
