"""`atrous train`: from a folder of labelled pictures to a published model."""

import re
import shlex
from pathlib import Path
from typing import Annotated, Literal

import typer

from atrous.cli.dataset_options import (
    ClassesFileOption,
    ClassesOption,
    DirectoryArgument,
    FormatOption,
    IgnoreIdOption,
    read_dataset_options,
)

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
    project: Annotated[
        str, typer.Option("--as", help="Project to publish to; the next version is taken.")
    ],
    format: FormatOption = None,
    classes: ClassesOption = None,
    classes_file: ClassesFileOption = None,
    ignore_id: IgnoreIdOption = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave faulty samples out instead of refusing.")
    ] = False,
    epochs: Annotated[int | None, typer.Option(min=1, help="Passes over the photos.")] = None,
    time_budget: Annotated[
        str | None,
        typer.Option(help="Be done within this time, as 20m; the schedule follows the clock."),
    ] = None,
    architecture: Annotated[
        Literal["deeplabv3", "deeplabv3plus"] | None, typer.Option(help="Default: deeplabv3plus.")
    ] = None,
    backbone: Annotated[
        str | None,
        typer.Option(help="A timm backbone, as resnet50. Default: tf_efficientnet_lite0."),
    ] = None,
    max_side: Annotated[
        int, typer.Option("--size", min=32, help="Longer side of the network's input, in pixels.")
    ] = 512,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Photos per step.")] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="Of the head, at its highest. Default: 0.001.")
    ] = None,
    precision: Annotated[
        Literal["auto", "fp32", "bf16"] | None, typer.Option(help="Number format of the network.")
    ] = None,
    pretrained: Annotated[
        bool, typer.Option(help="Start from ImageNet weights where they can be had.")
    ] = True,
    start: Annotated[
        Path | None,
        typer.Option(
            help="A checkpoint to fine-tune: torchvision's deeplabv3, or one of an earlier run."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of everything random.")] = 0,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the project's last unfinished run.")
    ] = False,
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
    from atrous.cli.training_progress import TrainingBar, log_to_standard_error
    from atrous.jobs.train import finish_run, latest_unfinished_run, start_run
    from atrous.jobs.training_request import TrainingRequest
    from atrous.store.home import home_folder
    from atrous.store.opening import open_store

    choices = {
        "epochs": epochs,
        "time_budget_s": parse_duration(time_budget) if time_budget else None,
        "architecture": architecture,
        "backbone": backbone,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "precision": precision,
        "pretrained": pretrained,
        "start": str(start.absolute()) if start else None,
        "seed": seed,
    }
    options = read_dataset_options(format, classes, classes_file, ignore_id, seed)
    request = TrainingRequest(directory.absolute(), project, options, skip_bad, max_side, choices)
    with open_store(home_folder()) as store, TrainingBar() as bar:
        log_to_standard_error(bar.console)
        run = None
        try:
            run = latest_unfinished_run(store, project) if resume else start_run(request, store)
            bar.say(f"run folder: {run.path}")
            if resume:
                bar.say("its own recipe and pictures are used, whatever else this command says")
            model_id = finish_run(run, store, bar.report)
        except KeyboardInterrupt:
            on = f"; go on with: {resume_command(directory, project)}" if run else ""
            bar.say(f"stopped{on}")
            raise typer.Exit(130) from None
    print(model_id)


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
