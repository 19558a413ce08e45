"""Train on a data set and publish the model: check, recipe, training, export, test, publish."""

import json
import logging
import tempfile
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from atrous.datasets.check import check_dataset
from atrous.datasets.detect import open_dataset
from atrous.datasets.trainable import why_untrainable
from atrous.datasets.version import Dataset
from atrous.disk.whole import write_whole
from atrous.domain.errors import BadDataset, NotFound, OutOfMemory
from atrous.domain.model_ids import ModelId, checked_project
from atrous.domain.recipes import TrainingRecipe, preprocess_from_json
from atrous.export.package import export_package
from atrous.jobs.companions import companions
from atrous.jobs.evaluate import measure_package
from atrous.jobs.sound_data import log_left_out, refusal
from atrous.jobs.tensorboard_log import with_tensorboard
from atrous.jobs.training_report import facts_of, report_finished, report_unfinished
from atrous.jobs.training_request import TrainingRequest
from atrous.packages.directory import (
    ModelPackage,
    check_class_names,
    read_package,
    write_package,
)
from atrous.reports.model_card import model_card
from atrous.store.database import new_id
from atrous.store.opening import Store
from atrous.store.runs import REQUEST, run_id_of
from atrous.training.checkpoint import TrainingState, load_best
from atrous.training.configure import recipe_for
from atrous.training.full_disk import explained_full_disk
from atrous.training.loop import Report, train
from atrous.training.machine import devices_here
from atrous.training.precision import pick_device, precision_in_use
from atrous.training.run_folder import RunFolder

logger = logging.getLogger(__name__)
ADDED = ("fingerprint", "run_id")  # to a request, in the run's folder
NAMED = 5  # of other projects' unfinished runs

CheckProgress = Callable[[int, int], None]


class StoppedEarly(Exception):
    """Raised by a report to end a training; the best epoch so far is published."""


def start_run(
    request: TrainingRequest, store: Store, check_progress: CheckProgress | None = None
) -> RunFolder:
    """Check the data set, decide the recipe and open a run folder; nothing is trained yet.

    Raises BadDataset, naming the first faults, for a faulty set without `skip_bad`, and BadPackage
    for a class name that no package can hold.
    """
    checked_project(request.project)
    dataset, class_counts = checked_dataset(request, check_progress)
    recipe = recipe_for(dataset, **class_counts, max_side=request.max_side, **request.choices)
    run = _new_run_folder(store, request.project)
    run.create(recipe)
    facts = {**request.to_json(), "fingerprint": dataset.fingerprint(), "run_id": new_id()}
    write_whole(run.path / REQUEST, json.dumps(facts, indent=2).encode())
    return run


def finish_run(run: RunFolder, store: Store, report: Report) -> ModelId:
    """Train a run to its end, from its last checkpoint if it has one, and publish the model.

    `report` may raise StoppedEarly once there is a best checkpoint. However else it ends, it
    leaves a report if there are weights. Raises Conflict where another process trains the run.
    """
    published = run.path / "published.json"
    with run.claimed():
        if published.exists():
            return ModelId.parse(json.loads(published.read_text())["model_id"])
        request, dataset = reopen(run)
        run.remove_leftovers()
        if request.tensorboard:
            report = with_tensorboard(report, run.path)
        try:
            _train(run, dataset, report)
            package = _export(run, dataset, request.serving)
        except (KeyboardInterrupt, Exception):
            report_unfinished(run, dataset)
            raise
        model_id = _published_model(run, store) or store.models.publish(
            request.project,
            package.folder,
            workspace_id=request.workspace_id or store.workspaces.default().id,
            version=request.version,
            facts={**package.facts, **_facts_of(run)},
            training_id=request.training_id,
        )
        write_whole(published, json.dumps({"model_id": str(model_id)}).encode())
        return model_id


def _train(run: RunFolder, dataset: Dataset, report: Report) -> None:
    """Train until the recipe is done, or until `report` raises StoppedEarly."""
    recipe = run.read_recipe()
    size = recipe.preprocess.size
    logger.info(
        "training %s on %s at %s in %s, %d photos",
        recipe.architecture,
        recipe.backbone,
        size,
        precision_in_use(recipe, pick_device()),
        len(dataset.splits["train"]),
    )
    try:
        state = _train_in_parts(run, dataset, recipe, report)
        logger.info("best validation mIoU %.4f in epoch %d", state.best_miou, state.best_epoch)
    except StoppedEarly:
        logger.info("stopped as asked; the best epoch so far is exported")


def _train_in_parts(
    run: RunFolder, dataset: Dataset, recipe: TrainingRecipe, report: Report
) -> TrainingState:
    """Train; where several processes lack memory, all go on from the last checkpoint with less."""
    while True:
        try:
            with companions(run, recipe) as processes:
                return train(dataset, recipe, run, report, processes)
        except OutOfMemory:
            if recipe.accumulation >= recipe.batch_size // devices_here(recipe.devices):
                raise  # single photos are too large for one of them
        recipe = replace(recipe, accumulation=2 * recipe.accumulation)
        logger.warning(
            "out of memory: all processes go on from the last checkpoint, each with its photos of "
            "a batch in %d parts; the effective batch size stays",
            recipe.accumulation,
        )


def checked_dataset(
    request: TrainingRequest, progress: CheckProgress | None = None
) -> tuple[Dataset, dict[str, Any]]:
    """Open and check the data set; without its faulty samples where the request skips them.

    With it, what `recipe_for` wants to know of every class id in the training split.
    """
    dataset = open_dataset(request.directory, request.options)
    check_class_names(dataset.classes.names)
    report = check_dataset(dataset, progress)
    for note in report.notes:
        logger.info("note: %s", note)
    counts = report.counts.get("train")
    class_counts = {
        "class_pixels": counts.pixels.tolist() if counts else [],
        "pixels_beside": counts.pixels_beside.tolist() if counts else [],
    }
    if report.ok:
        return dataset, class_counts
    usable = report.usable(request.options.seed)
    if not request.skip_bad:
        instead = None if why_untrainable(usable) else "trains on the rest"
        raise BadDataset(refusal(report, request.directory, request.options, instead))
    log_left_out(report)
    return usable, class_counts


def reopen(run: RunFolder) -> tuple[TrainingRequest, Dataset]:
    """The request and data set of a run; BadDataset if the set has changed since it began."""
    fingerprint = json.loads((run.path / REQUEST).read_text())["fingerprint"]
    request = request_of(run)
    dataset = open_dataset(request.directory, request.options)
    if dataset.fingerprint() != fingerprint:
        dataset, _ = checked_dataset(request)
    if dataset.fingerprint() != fingerprint:
        raise BadDataset(
            f"{request.directory} has changed since the run {run.path.name} began; "
            "start a new one without --resume"
        )
    return request, dataset


def request_of(run: RunFolder) -> TrainingRequest:
    """What was asked for when the run began."""
    facts = json.loads((run.path / REQUEST).read_text())
    return TrainingRequest.from_json({name: facts[name] for name in facts if name not in ADDED})


def latest_unfinished_run(store: Store, project: str) -> RunFolder:
    """The newest run of a project that was not published; NotFound if there is none."""
    checked_project(project)
    if run := _unfinished(store.home.runs / project):
        return run
    said = f"there is no unfinished run of project {project} in {store.home.runs}; "
    there = [run for parent in sorted(store.home.runs.glob("*")) if (run := _unfinished(parent))]
    if not there:
        raise NotFound(f"{said}start one without --resume")
    names = ", ".join(f"{run.path.parent.name}/{run.path.name}" for run in there[:NAMED])
    first = there[0].path.parent.name
    raise NotFound(f"{said}unfinished: {names}; give --as {first}, or start one without --resume")


def _unfinished(parent: Path) -> RunFolder | None:
    """The newest run of a project that was not published; None where there is none."""
    for path in reversed(_run_folders(parent)):
        if (path / REQUEST).exists() and not (path / "published.json").exists():
            return RunFolder(path)
    return None


def _run_folders(parent: Path) -> list[Path]:
    """The runs of a project, oldest first; folders that somebody renamed are left out."""
    folders = [path for path in parent.glob("*") if path.name.isdecimal()]
    return sorted(folders, key=lambda path: int(path.name))


def _facts_of(run: RunFolder) -> dict[str, Any]:
    """A run as its model's facts name it: `project/0001`, and an id that no other run has."""
    return {"run": f"{run.path.parent.name}/{run.path.name}", "run_id": run_id_of(run.path)}


def _published_model(run: RunFolder, store: Store) -> ModelId | None:
    """The model of a run that was killed right after publishing."""
    known = _facts_of(run)
    for model in store.models.list():
        if {name: model.facts.get(name) for name in known} == known:
            return model.model_id
    return None


def _new_run_folder(store: Store, project: str) -> RunFolder:
    """`runs/project/0001` and so on; two at once get two numbers."""
    parent = store.home.runs / project
    parent.mkdir(parents=True, exist_ok=True)
    number = 1 + max((int(path.name) for path in _run_folders(parent)), default=0)
    while True:
        try:
            (parent / f"{number:04d}").mkdir()
        except FileExistsError:
            number += 1
        else:
            return RunFolder(parent / f"{number:04d}")


def _export(run: RunFolder, dataset: Dataset, serving: dict[str, Any]) -> ModelPackage:
    """Export the best checkpoint, measured on valid and on test where there is one; report it.

    serving: fields of PreprocessRecipe for photos that were not prepared as the data set was.
    """
    if run.package.exists():  # a kill came between export and publishing
        return read_package(run.package)
    best = load_best(run)
    logger.info("exporting, and comparing the export with the trained network")
    with (
        explained_full_disk(run),
        tempfile.TemporaryDirectory(prefix=".export-", dir=run.path) as scratch,
    ):
        candidate = export_package(
            best.network,
            best.classes,
            best.recipe,
            dataset.splits["valid"],
            Path(scratch) / "package",
            {"best_epoch": best.epoch},
        )
        valid = measure_package(candidate, dataset, "valid", with_photos=True)
        # What these photos decide is what the model does on others.
        best_thresholds = valid.figures.recommended_thresholds()
        evaluations = [replace(valid, report=valid.figures.as_report(best_thresholds))]
        if dataset.splits.get("test"):
            decided = replace(candidate, best_thresholds=best_thresholds)
            evaluations.append(measure_package(decided, dataset, "test"))
            logger.info("test mIoU %.4f", evaluations[-1].report["miou"] or 0.0)
        facts = {**candidate.manifest, **facts_of(evaluations)}
        report_finished(run, best, evaluations)
        photos = {split: len(samples) for split, samples in dataset.splits.items()}
        card_facts = {**facts, "input_size": asdict(candidate.preprocess.size)}
        return write_package(
            run.package,
            weights=candidate.weights,
            classes=best.classes,
            preprocess=preprocess_from_json({**asdict(best.recipe.export_preprocess), **serving}),
            manifest=facts,
            card=model_card(run.path.parent.name, best.classes.names, card_facts, photos),
        )
