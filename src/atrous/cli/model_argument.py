"""The argument that names a model: `project/version` of the store, or a package's folder."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from atrous.packages.directory import ModelPackage

PUBLISHED = "A published model, as shapes/1 or as `atrous models list` names it"
ModelArgument = Annotated[str, typer.Argument(help=f"{PUBLISHED}, or the folder of a package.")]


def find_package(model: str) -> "ModelPackage":
    """Read the package that `model` names; a folder comes before a published model.

    Raises BadModelId or NotFound for one that is neither, BadPackage for a damaged one.
    """
    from atrous.packages.directory import read_package
    from atrous.store.home import home_folder
    from atrous.store.opening import open_store

    if Path(model).is_dir():
        return read_package(Path(model))
    with open_store(home_folder()) as store:
        found = store.models.named(model)
        return read_package(store.models.package_folder(found.folder))


def new_model_id(name: str) -> tuple[str, int | None]:
    """Project and version of `project/version`; no version, the next one, of a project alone."""
    from atrous.domain.model_ids import ModelId, checked_project

    if "/" not in name:
        return checked_project(name), None
    model_id = ModelId.parse(name)
    return model_id.project, model_id.version
