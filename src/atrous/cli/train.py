"""`atrous train`: from a folder of labelled pictures to a published model."""

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from atrous.cli.dataset_options import (
    ClassesFileOption,
    ClassesOption,
    DirectoryArgument,
    FormatOption,
    IgnoreIdOption,
    read_dataset_options,
)
from atrous.cli.recipe_options import (
    ArchitectureOption,
    BackboneOption,
    BalancingOption,
    BatchSizeOption,
    EpochsOption,
    ExportStrideOption,
    LearningRateOption,
    MaxSideOption,
    PrecisionOption,
    PretrainedOption,
    ProjectOption,
    ResumeOption,
    SeedOption,
    SetOption,
    SkipBadOption,
    StartOption,
    TimeBudgetOption,
    read_settings,
)
from atrous.domain.recipes import MAX_SIDE

if TYPE_CHECKING:
    from atrous.domain.model_ids import ModelId
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
    project: ProjectOption,
    format: FormatOption = None,
    classes: ClassesOption = None,
    classes_file: ClassesFileOption = None,
    ignore_id: IgnoreIdOption = None,
    skip_bad: SkipBadOption = False,
    epochs: EpochsOption = None,
    time_budget: TimeBudgetOption = None,
    architecture: ArchitectureOption = None,
    backbone: BackboneOption = None,
    max_side: MaxSideOption = MAX_SIDE,
    batch_size: BatchSizeOption = None,
    learning_rate: LearningRateOption = None,
    balancing: BalancingOption = "auto",
    export_stride: ExportStrideOption = None,
    precision: PrecisionOption = None,
    pretrained: PretrainedOption = True,
    start: StartOption = None,
    settings: SetOption = None,
    seed: SeedOption = 0,
    resume: ResumeOption = False,
) -> None:
    """Train a DeepLabv3 model on a folder of labelled pictures and publish it.

    The data set is checked first; `atrous check` shows what is found. Ctrl-C or a crash loses at
    most one epoch: `--resume` goes on. Prints `project/version` last on standard output, and
    progress on standard error.

    \b
    Example:  atrous train pictures/ --as cats
              atrous train pictures/ --as cats --time-budget 20m --backbone resnet50
              atrous train pictures/ --as cats --resume
    """
    require_training()
    from atrous.jobs.training_request import TrainingRequest

    choices = {
        "epochs": epochs,
        "time_budget_s": parse_duration(time_budget) if time_budget else None,
        "architecture": architecture,
        "backbone": backbone,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "balancing": balancing,
        "export_output_stride": export_stride,
        "precision": precision,
        "pretrained": pretrained,
        "start": str(start.absolute()) if start else None,
        "seed": seed,
        **read_settings(settings or []),
    }
    options = read_dataset_options(format, classes, classes_file, ignore_id, seed)
    request = TrainingRequest(directory.absolute(), project, options, skip_bad, max_side, choices)
    print(_run(request, resume))


def _run(request: "TrainingRequest", resume: bool) -> "ModelId":
    """Train with a bar on standard error; Ctrl-C says how to go on and exits with 130."""
    from atrous.cli.training_progress import TrainingBar, log_to_standard_error
    from atrous.jobs.train import finish_run, latest_unfinished_run, start_run
    from atrous.store.home import home_folder
    from atrous.store.opening import open_store

    project = request.project
    with open_store(home_folder()) as store, TrainingBar() as bar:
        log_to_standard_error(bar.console)
        run = None
        try:
            run = latest_unfinished_run(store, project) if resume else start_run(request, store)
            bar.say(f"run folder: {run.path}")
            if resume:
                bar.say("its own recipe and pictures are used, whatever else this command says")
            return finish_run(run, store, bar.report)
        except KeyboardInterrupt:
            on = f"; go on with: {resume_command(request.directory, project)}" if run else ""
            bar.say(f"stopped{on}")
            raise typer.Exit(130) from None


def resume_command(directory: Path, project: str) -> str:
    """What to type to go on with an interrupted run."""
    return f"atrous train {shlex.quote(str(directory))} --as {project} --resume"


def require_training() -> None:
    """Raise MissingDependency where only the light server is installed."""
    import importlib.util

    from atrous.domain.errors import MissingDependency

    missing = [
        name
        for name in ("torch", "torchvision", "timm", "onnxscript", "safetensors")
        if importlib.util.find_spec(name) is None
    ]
    if missing:
        raise MissingDependency(
            f"training needs {', '.join(missing)}, which the light installation leaves out; "
            "run: pip install 'atrous[train]'"
        )
