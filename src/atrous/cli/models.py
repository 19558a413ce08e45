"""`atrous models`: list, show, add and remove published models."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from atrous.cli.model_argument import PUBLISHED, new_model_id
from atrous.cli.tables import print_table

if TYPE_CHECKING:
    from atrous.packages.directory import ModelPackage
    from atrous.store.models import Model

models_app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="List, show, add and remove models.",
)
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
ModelArgument = Annotated[str, typer.Argument(metavar="MODEL", help=f"{PUBLISHED}.")]


@models_app.command("list")
def list_models(as_json: AsJson = False) -> None:
    """List the models that a server answers for.

    \b
    Example:  atrous models list --json
    """
    from atrous.store import home_folder, open_store
    from atrous.store.models import asked_names

    with open_store(home_folder()) as store:
        there = store.models.list()
    models = [
        {**_describe(model), "model_id": name}
        for model, name in zip(there, asked_names(there), strict=True)
    ]
    if as_json:
        print(json.dumps(models, indent=2))
        return
    rows = [
        [
            model["model_id"],
            str(model.get("architecture") or "-"),
            str(len(model.get("class_names") or [])),
            _figure(model.get("metrics")),
            model["created"][:10],
        ]
        for model in models
    ]
    print_table(["MODEL", "ARCHITECTURE", "CLASSES", "MIOU", "CREATED"], rows)


@models_app.command()
def show(model: ModelArgument, as_json: AsJson = False) -> None:
    """Show what is known about a model: classes, figures, files.

    \b
    Example:  atrous models show shapes/1
    """
    from atrous.store import home_folder, open_store

    with open_store(home_folder()) as store:
        found = store.models.named(model)
        facts = {**_describe(found), "folder": str(store.models.package_folder(found.folder))}
    if as_json:
        print(json.dumps(facts, indent=2))
        return
    figures = facts.pop("metrics", {})
    width = max(len(name) for name in facts)
    for name, value in facts.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        print(f"{name.ljust(width)}  {text}")
    for split, report in _reports(figures).items():
        print(f"\n{split}: mIoU {_share(report.get('miou'))}")
        rows = [
            [entry["name"], *(_share(entry.get(key)) for key in ("iou", "precision", "recall"))]
            for entry in report.get("classes", [])
        ]
        print_table(["CLASS", "IOU", "PRECISION", "RECALL"], rows)


@models_app.command()
def add(
    path: Annotated[Path, typer.Argument(help="Folder of a model package, of either layout.")],
    name: Annotated[
        str, typer.Option("--as", help="project/version, or a project for its next version.")
    ],
) -> None:
    """Check a model package, run its network once, and publish a copy of it.

    \b
    Example:  atrous models add downloads/package --as roads/1
    """
    from tempfile import TemporaryDirectory

    from atrous.packages.directory import copy_package, read_package
    from atrous.store import home_folder, open_store

    project, version = new_model_id(name)
    with TemporaryDirectory(prefix="atrous-") as temporary:
        # The copy is what is checked, run and published, whatever happens to the original.
        package = copy_package(read_package(path).folder, Path(temporary) / "package")
        _run_once(package)
        with open_store(home_folder()) as store:
            model_id = store.models.publish(
                project,
                package.folder,
                version=version,
                workspace_id=store.workspaces.default().id,
                facts=package.facts,
            )
    print(model_id)


@models_app.command()
def remove(model: ModelArgument) -> None:
    """Take a model away and delete its files.

    \b
    Example:  atrous models remove shapes/1
    """
    from atrous.store import home_folder, open_store

    with open_store(home_folder()) as store:
        found = store.models.named(model)
        store.models.remove(found)
        left = [each for each in store.models.list() if each.model_id == found.model_id]
    now = f"; {found.model_id} is {left[0].slug} now" if left else ""
    print(f"removed {model}{now}")


def _run_once(package: ModelPackage) -> None:
    from atrous.runtime.segmenter import Segmenter

    Segmenter(package).close()  # opening it runs the network, and refuses what does not fit


def _describe(model: Model) -> dict[str, Any]:
    created = datetime.fromtimestamp(model.created_at, tz=timezone.utc)
    return {
        "model_id": str(model.model_id),
        "project": model.model_id.project,
        "version": model.model_id.version,
        "created": created.isoformat(timespec="seconds"),
        **model.facts,
    }


def _figure(metrics: dict[str, Any] | None) -> str:
    """The mIoU to be known by, and of which split it is: test, else valid."""
    reports = _reports(metrics)
    split = next((name for name in ("test", "valid") if reports.get(name)), None)
    return f"{_share(reports[split].get('miou'))} ({split})" if split else "-"


def _reports(metrics: Any) -> dict[str, dict[str, Any]]:
    """Figures by split; those of packages that keep something else there are left out."""
    entries = metrics.items() if isinstance(metrics, dict) else ()
    return {split: report for split, report in entries if isinstance(report, dict)}


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
