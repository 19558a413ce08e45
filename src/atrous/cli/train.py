"""`atrous train`: from a folder of labelled pictures to a published model."""

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from atrous.cli.dataset_options import (
    ClassesFileOption,
    ClassesOption,
    DirectoryArgument,
    FormatOption,
    IgnoreIdOption,
    SkipBadOption,
    read_dataset_options,
)
from atrous.cli.recipe_options import (
    ArchitectureOption,
    BackboneOption,
    BalancingOption,
    BatchSizeOption,
    CompileOption,
    DevicesOption,
    DryRunOption,
    EpochsOption,
    ExportFlipOption,
    ExportSizeOption,
    ExportStrideOption,
    IterationsOption,
    LearningRateOption,
    LossOption,
    MaxSideOption,
    NormOption,
    PrecisionOption,
    PretrainedOption,
    ProjectOption,
    RecipeOption,
    ResumeOption,
    SeedOption,
    SetOption,
    StartOption,
    TensorBoardOption,
    TimeBudgetOption,
    read_settings,
)
from atrous.domain.recipes import MAX_SIDE

if TYPE_CHECKING:
    from atrous.datasets.detect import DatasetOptions
    from atrous.jobs.training_request import TrainingRequest

UNITS_S = {"s": 1, "m": 60, "h": 3600}


def parse_duration(text: str) -> float:
    """Seconds of `90s`, `20m`, `1.5h` or `1h30m`; anything else is wrong usage.

    >>> parse_duration("20m"), parse_duration("1h30m")
    (1200.0, 5400.0)
    """
    parts = re.findall(r"(\d+(?:\.\d+)?)([smh])", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise typer.BadParameter(f"{text!r} is no duration; write 90s, 20m or 1h30m")
    return float(sum(float(number) * UNITS_S[unit] for number, unit in parts))


def train_command(
    directory: DirectoryArgument,
    project: ProjectOption = None,
    format: FormatOption = None,
    classes: ClassesOption = None,
    classes_file: ClassesFileOption = None,
    ignore_id: IgnoreIdOption = None,
    skip_bad: SkipBadOption = False,
    iterations: IterationsOption = None,
    epochs: EpochsOption = None,
    time_budget: TimeBudgetOption = None,
    architecture: ArchitectureOption = None,
    backbone: BackboneOption = None,
    max_side: MaxSideOption = MAX_SIDE,
    batch_size: BatchSizeOption = None,
    learning_rate: LearningRateOption = None,
    loss: LossOption = None,
    balancing: BalancingOption = None,
    norm: NormOption = "auto",
    export_stride: ExportStrideOption = None,
    export_size: ExportSizeOption = None,
    export_flip: ExportFlipOption = None,
    precision: PrecisionOption = None,
    devices: DevicesOption = None,
    compile: CompileOption = None,
    pretrained: PretrainedOption = None,
    start: StartOption = None,
    recipe: RecipeOption = None,
    settings: SetOption = None,
    seed: SeedOption = None,
    dry_run: DryRunOption = False,
    tensorboard: TensorBoardOption = False,
    resume: ResumeOption = False,
) -> None:
    """Train a DeepLabv3 model on a folder of labelled pictures and publish it.

    Ctrl-C or a crash loses at most one epoch, of a long one five minutes: `--resume` goes on.
    Prints `project/version` last on standard output, and progress on standard error.

    \b
    Example:  atrous train pictures/ --as cats --time-budget 20m --dry-run
              atrous train pictures/ --as cats --resume
    """
    require_training()
    network = {"architecture": architecture, "backbone": backbone, "pretrained": pretrained}
    steps = {"iterations": iterations, "epochs": epochs, "batch_size": batch_size}
    machine = {"precision": precision, "devices": devices, "compile": compile}
    published = {"export_output_stride": export_stride, "export_side": export_size}
    choices = {
        **{**network, **steps, **machine, **published, "loss": loss, "balancing": balancing},
        **{"learning_rate": learning_rate, "export_flip": export_flip, "seed": seed},
        "time_budget_s": parse_duration(time_budget) if time_budget else None,
        "norm": None if norm == "auto" else norm,
        "start": str(start.absolute()) if start else None,
        **read_settings(settings or []),
    }
    choices = with_recipe_file(recipe, choices)
    options = read_dataset_options(format, classes, classes_file, ignore_id, choices["seed"])
    act = _show_decisions if dry_run else _run
    act(_request(directory, project, options, skip_bad, max_side, choices, tensorboard), resume)


def with_recipe_file(file: Path | None, options: dict[str, Any]) -> dict[str, Any]:
    """What was chosen: the fields of a recipe file, and before them the options given.

    No class weights in a file are a choice as well: that of `--class-weights none`.
    """
    from atrous.domain.recipe_schema import read_recipe_file

    given = {name: value for name, value in options.items() if value is not None}
    read = read_recipe_file(file) if file else {}
    balancing = "none" if read.get("class_weights", ()) is None else "auto"
    if "balancing" in given:
        read.pop("class_weights", None)
    return {"balancing": balancing, "seed": 0, **read, **given}


def _request(
    directory: Path,
    project: str | None,
    options: "DatasetOptions",
    skip_bad: bool,
    max_side: int,
    choices: dict[str, Any],
    tensorboard: bool,
) -> "TrainingRequest":
    from atrous.jobs.training_request import TrainingRequest
    from atrous.store.projects import slug_of

    folder = directory.absolute()
    project = project or slug_of(Path(os.path.abspath(directory)).name)
    return TrainingRequest(
        folder, project, options, skip_bad, max_side, choices, tensorboard=tensorboard
    )


def _show_decisions(request: "TrainingRequest", resume: bool) -> None:
    """Print the recipe that a training would have, and stop: nothing is written."""
    from atrous.cli.decision_table import decision_lines
    from atrous.jobs.train import checked_dataset
    from atrous.training.configure import recipe_for

    if resume:
        raise typer.BadParameter("give --dry-run or --resume, not both: a run keeps its recipe")
    dataset, class_counts = checked_dataset(request)
    recipe = recipe_for(dataset, **class_counts, max_side=request.max_side, **request.choices)
    for line in decision_lines(recipe):
        print(line)


def _run(request: "TrainingRequest", resume: bool) -> None:
    """Train with a bar on standard error and print the model.

    Ctrl-C says how to go on and exits with 130.
    """
    from atrous.cli.decision_table import decision_lines
    from atrous.cli.training_progress import TrainingBar, log_to_standard_error
    from atrous.cli.written_folders import writable
    from atrous.jobs.train import finish_run, latest_unfinished_run, start_run
    from atrous.store.home import home_folder
    from atrous.store.opening import open_store

    project = request.project
    with open_store(writable(home_folder())) as store, TrainingBar() as bar:
        log_to_standard_error(bar.console)
        run = None
        try:
            run = latest_unfinished_run(store, project) if resume else start_run(request, store)
            bar.say(f"run folder: {run.path}")
            if resume:
                bar.say("its own recipe and pictures are used, whatever else this command says")
            for line in decision_lines(run.read_recipe()):
                bar.say(line)
            model_id = finish_run(run, store, bar.report)
        except KeyboardInterrupt:
            on = f"; go on with: {request.resume_command}" if run else ""
            bar.say(f"stopped{on}")
            raise typer.Exit(130) from None
    print(model_id)


def missing_for_training() -> list[str]:
    """What training imports and the light installation leaves out."""
    import importlib.util

    needed = ("torch", "torchvision", "timm", "onnxscript", "safetensors")
    return [name for name in needed if importlib.util.find_spec(name) is None]


def require_training() -> None:
    """Raise MissingDependency where only the light server is installed."""
    from atrous.domain.errors import MissingDependency

    missing = missing_for_training()
    if missing:
        raise MissingDependency(
            f"training needs {', '.join(missing)}, which the light installation leaves out; "
            "run: pip install 'atrous[train]'"
        )
