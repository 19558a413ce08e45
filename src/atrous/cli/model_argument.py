"""The argument that names a model: `project/version` of the store, or a package's folder."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from atrous.packages.directory import ModelPackage

ModelArgument = Annotated[
    str, typer.Argument(help="A published model, as shapes/1, or the folder of a package.")
]


def find_package(model: str) -> "ModelPackage":
    """Read the package that `model` names; a folder comes before a published model.

    Raises BadModelId or NotFound for one that is neither, BadPackage for a damaged one.
    """
    from atrous.domain.model_ids import ModelId
    from atrous.packages.directory import read_package
    from atrous.store.home import home_folder
    from atrous.store.opening import open_store

    if Path(model).is_dir():
        return read_package(Path(model))
    model_id = ModelId.parse(model)
    with open_store(home_folder()) as store:
        return read_package(store.models.folder(model_id))
