"""A model that was trained elsewhere and sent as a zip: checked, run once, and published."""

import tempfile
from pathlib import Path
from typing import Any, get_args

from atrous.datasets.zip_files import CheckedZip
from atrous.domain.errors import BadPackage
from atrous.domain.recipes import Architecture
from atrous.packages.directory import ModelPackage, read_package
from atrous.packages.uploads import package_files
from atrous.runtime.segmenter import Segmenter
from atrous.store.jobs import Job
from atrous.store.opening import Store
from atrous.store.versions import Version

DEFAULT: Architecture = "deeplabv3plus"


def add_model(job: Job, worker: str, store: Store) -> dict[str, Any]:
    """Publish the package as the model of its training, and ask for its evaluation.

    Once more after a crash it goes on with what is published.
    """
    training = store.trainings.by_id(job.workspace_id, job.payload["training_id"])
    version = store.versions.by_id(job.workspace_id, training.version_id)
    project = store.projects.by_id(job.workspace_id, training.project_id)
    model = store.models.of_training(training.id)
    if model is None:
        with tempfile.TemporaryDirectory(prefix="import-", dir=store.home.cache) as folder:
            package = _unpack(job, store, Path(folder))
            _check_classes(package, version)
            Segmenter(package).close()  # opening it runs the network, and refuses what can't serve
            store.models.publish(
                project.slug,
                package.folder,
                workspace_id=job.workspace_id,
                version=version.number,
                facts=_facts(package),
                training_id=training.id,
            )
    if not store.evaluations.list(job.workspace_id, training_id=training.id, limit=1):
        store.evaluations.create(training)
    return {"model_id": f"{project.slug}/{version.number}"}


def _unpack(job: Job, store: Store, folder: Path) -> ModelPackage:
    """Write the files of the package, and nothing else of the zip."""
    path, unpacked = folder / "model.zip", folder / "package"
    with path.open("wb") as file:
        for piece in store.blobs.stream(job.payload["digest"]):
            file.write(piece)
    unpacked.mkdir()
    with CheckedZip(path) as archive:
        for name, source in package_files(archive.names).items():
            (unpacked / name).write_bytes(archive.read(source))
    return read_package(unpacked)


def _facts(package: ModelPackage) -> dict[str, Any]:
    """Peers know one name for every DeepLab, which no slug has: it counts as DeepLabV3+."""
    is_known = package.architecture in get_args(Architecture)
    return {**package.facts, "architecture": package.architecture if is_known else DEFAULT}


def _check_classes(package: ModelPackage, version: Version) -> None:
    if sorted(package.class_names) != sorted(version.class_names):
        raise BadPackage(
            f"the model knows {', '.join(package.class_names)}; the version has "
            f"{', '.join(version.class_names)}: upload it to a version with the same classes"
        )
