"""The options of `atrous train` that choose a recipe."""

from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from atrous.domain.recipes import TrainingRecipe

ProjectOption = Annotated[
    str | None,
    typer.Option(
        "--as",
        help="Project to publish to; the next version is taken. Default: called like the folder.",
    ),
]
IterationsOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Steps of the optimizer. Default: 1500 with batches of 8 photos, 3000 of 4; fewer "
        "where that were more than 150 passes over the photos.",
    ),
]
EpochsOption = Annotated[
    int | None, typer.Option(min=1, help="Passes over the photos, in place of --iterations.")
]
TimeBudgetOption = Annotated[
    str | None,
    typer.Option(
        help="Be done within this time, as 20m or 1h30m; the schedule follows the clock. Reading "
        "the data set comes before."
    ),
]
ArchitectureOption = Annotated[
    Literal["deeplabv3", "deeplabv3plus"] | None, typer.Option(help="Default: deeplabv3plus.")
]
BackboneOption = Annotated[
    str | None,
    typer.Option(help="A timm backbone, as resnet50. Default: tf_efficientnet_lite0."),
]
MaxSideOption = Annotated[
    int, typer.Option("--size", min=32, help="Longer side of the network's input, in pixels.")
]
BatchSizeOption = Annotated[
    int | None,
    typer.Option(min=1, help="Photos per step. Default: 4, with a GPU 8 or 16."),
]
LearningRateOption = Annotated[
    float | None,
    typer.Option(help="Of the head, at its highest. Default: 0.001, with SGD 0.01."),
]
BalancingOption = Annotated[
    Literal["auto", "none", "balanced", "enet", "median"] | None,
    typer.Option(
        "--class-weights",
        help="How much more pixels of rare classes count: enet and median are published formulas, "
        "balanced is the root of enet. Default: auto, balanced where a class is rare.",
    ),
]
ExportStrideOption = Annotated[
    int | None,
    typer.Option(
        "--export-stride",
        help="Output stride of the published network, 8 or 16: 8 is finer and slower. Default: 16.",
    ),
]
ExportSizeOption = Annotated[
    int | None,
    typer.Option(
        "--export-size",
        help="Longer side of the published network's input, in pixels: a quarter or a third more "
        "than --size often finds small objects better, and takes longer. Default: as in training.",
    ),
]
ExportFlipOption = Annotated[
    bool | None,
    typer.Option(
        "--export-flip/--no-export-flip",
        help="The published model looks at each photo twice, mirrored besides: often half a point "
        "to two points better, at twice the time. Default: once.",
    ),
]
PrecisionOption = Annotated[
    Literal["auto", "fp32", "bf16", "fp16"] | None,
    typer.Option(
        help="Number format of the network. Default: auto, bf16 where the hardware is quick at "
        "it, else fp32; fp16 is for GPUs without bf16."
    ),
]
DevicesOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="GPUs that share each batch, a process each. Default: all that get 4 photos of it.",
    ),
]
CompileOption = Annotated[
    bool | None,
    typer.Option(
        "--compile/--no-compile", help="torch.compile the network: minutes first, then quicker."
    ),
]
PretrainedOption = Annotated[
    bool | None,
    typer.Option(
        "--pretrained/--no-pretrained",
        help="Start from ImageNet weights where they can be had. Default: yes.",
    ),
]
StartOption = Annotated[
    Path | None,
    typer.Option(
        help="A checkpoint to fine-tune: torchvision's deeplabv3, or one of an earlier run."
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="A field of the recipe that has no option of its own, as scale_min=0.75; may be "
        "given several times. `atrous recipe schema` lists them; crop and preprocess are of "
        "--size or --recipe.",
    ),
]
LossOption = Annotated[
    str | None,
    typer.Option(
        help="A sum of losses, as 'ce + 0.5*lovasz', of ce, ohem, dice, lovasz, focal, tversky, "
        "rmi. Default: ce."
    ),
]
NormOption = Annotated[
    Literal["auto", "batch", "frozen", "sync"],
    typer.Option(
        help="Statistics of batch norms: of each batch, frozen as they were loaded, or sync, over "
        "all GPUs; auto: frozen where batches are tiny, sync on several GPUs."
    ),
]
RecipeOption = Annotated[
    Path | None,
    typer.Option(
        "--recipe",
        metavar="FILE",
        help="A JSON file with any of the recipe's fields; other options go before it.",
    ),
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Print what would be decided, and why, and stop.")
]
SeedOption = Annotated[
    int | None, typer.Option(min=0, help="Seed of everything random. Default: 0.")
]
TensorBoardOption = Annotated[
    bool, typer.Option("--tensorboard", help="Write a TensorBoard log into the run folder, too.")
]
ResumeOption = Annotated[
    bool, typer.Option("--resume", help="Go on with the project's last unfinished run.")
]


# Fields that --set can't give, since their defaults don't say their type: what gives them.
ELSEWHERE = {
    "iterations": "--iterations {}",
    "epochs": "--epochs {}",
    "time_budget_s": "--time-budget {}s",
    "start": "--start {}",
    "export_side": "--export-size {}",
    "class_weights": "--class-weights balanced, or numbers by class in a file of --recipe",
}
IN_A_FILE = ("crop", "preprocess")


def read_settings(settings: list[str]) -> dict[str, Any]:
    """Fields of the recipe that `--set` names, each read as the type of its default.

    >>> read_settings(["scale_min=0.75", "optimizer=sgd", "warmup_share=0"])
    {'scale_min': 0.75, 'optimizer': 'sgd', 'warmup_share': 0.0}
    """
    defaults = {
        field.name: field.default
        for field in fields(TrainingRecipe)
        if isinstance(field.default, (bool, int, float, str))
    }
    values: dict[str, Any] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if equals and (remedy := _elsewhere(name, text)):
            raise typer.BadParameter(f"--set {setting!r}: {remedy}")
        if not equals or name not in defaults:
            raise typer.BadParameter(
                f"--set {setting!r} is not NAME=VALUE with one of {', '.join(sorted(defaults))}"
            )
        kind = type(defaults[name])
        try:
            values[name] = _read_bool(text) if kind is bool else kind(text)
        except ValueError:
            raise typer.BadParameter(
                f"--set {setting!r}: {text!r} can't be read as {kind.__name__}"
            ) from None
    return values


def _elsewhere(name: str, text: str) -> str | None:
    """Where a field is given that --set does not take; None for any other name."""
    if name in IN_A_FILE:
        return f"{name} has several parts; use --size, or a file of --recipe"
    if name not in ELSEWHERE:
        return None
    return f"{name} has an option of its own: {ELSEWHERE[name].format(text)}"


def _read_bool(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(text)
    return text.lower() == "true"
