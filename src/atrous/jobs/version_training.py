"""From a training of the platform to a request: the version's pictures as a folder, and choices."""

import json
import os
import shutil
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from atrous.datasets.detect import DatasetOptions
from atrous.datasets.preparation import serving_choices
from atrous.datasets.version_steps import read_preparation
from atrous.datasets.zip_exports import write_zip
from atrous.disk.whole import flush, flush_tree
from atrous.domain.classes import IGNORE_ID
from atrous.domain.errors import Conflict, NotFound
from atrous.domain.recipes import MAX_SIDE
from atrous.jobs.export_version import exported_photos, facts_of
from atrous.jobs.training_request import TrainingRequest
from atrous.store.jobs import Job
from atrous.store.opening import Store
from atrous.store.projects import Project
from atrous.store.runs import run_of_model
from atrous.store.versions import Version
from atrous.training.run_folder import RunFolder

FORMAT = "png-mask-semantic"


def version_request(job: Job, store: Store) -> TrainingRequest:
    """What is to be trained; the model gets the version's number."""
    version = store.versions.by_id(job.workspace_id, job.payload["version_id"])
    if version.state != "ready":
        raise Conflict(f"version {version.number} is {version.state}; train it when it is ready")
    project = store.projects.by_id(job.workspace_id, version.project_id)
    steps = read_preparation(version.preprocessing)
    resize = steps.resize
    settings: dict[str, Any] = dict(job.payload["settings"])
    checkpoint = settings.pop("checkpoint", None)
    if checkpoint:
        settings.update(choices_of_checkpoint(store, job.workspace_id, checkpoint))
    return TrainingRequest(
        directory=version_folder(store, project, version),
        project=project.slug,
        options=DatasetOptions(format=FORMAT, ignore_id=IGNORE_ID, seed=version.seed),
        skip_bad=True,
        max_side=max(resize.size.height, resize.size.width) if resize else MAX_SIDE,
        choices=settings,
        serving=serving_choices(steps),
        workspace_id=job.workspace_id,
        version=version.number,
        training_id=job.payload["training_id"],
    )


def choices_of_checkpoint(store: Store, workspace_id: str, model_id: str) -> dict[str, Any]:
    """What a recipe says to start from the best checkpoint of the run that a model came of."""
    model = store.models.find(workspace_id, model_id)
    folder = run_of_model(store.home.runs, model.facts)
    if folder is None or not (RunFolder(folder).checkpoints / "best.json").exists():
        raise NotFound(
            f"model {model_id} has no checkpoint on this machine; leave 'checkpoint' out"
        )
    run = RunFolder(folder)
    facts = json.loads((run.checkpoints / "best.json").read_text())
    built = {name: facts["recipe"][name] for name in ("architecture", "backbone", "separable")}
    return {**built, "start": str(run.checkpoints / facts["tensors"])}


def version_folder(store: Store, project: Project, version: Version) -> Path:
    """The pictures of a version as a folder, made where it is missing: whole or not at all."""
    folder = store.home.version_pictures / version.id
    if folder.exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{version.id}-", dir=folder.parent))
    try:
        photos = exported_photos(store.blobs, store.versions.images(version), lambda: None)
        packed = unfinished / "version.zip"
        write_zip(packed, FORMAT, version.class_names, photos, facts_of(project, version))
        with zipfile.ZipFile(packed) as archive:
            archive.extractall(unfinished / "version")
        flush_tree(unfinished / "version")
        try:
            os.replace(unfinished / "version", folder)
        except OSError:  # another worker made the same meanwhile
            if not folder.is_dir():
                raise
        flush(folder.parent)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder
