"""The options of `atrous train` that choose a recipe."""

from pathlib import Path
from typing import Annotated, Literal

import typer

ProjectOption = Annotated[
    str, typer.Option("--as", help="Project to publish to; the next version is taken.")
]
SkipBadOption = Annotated[
    bool, typer.Option("--skip-bad", help="Leave faulty samples out instead of refusing.")
]
EpochsOption = Annotated[int | None, typer.Option(min=1, help="Passes over the photos.")]
TimeBudgetOption = Annotated[
    str | None,
    typer.Option(help="Be done within this time, as 20m; the schedule follows the clock."),
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
BatchSizeOption = Annotated[int | None, typer.Option(min=1, help="Photos per step.")]
LearningRateOption = Annotated[
    float | None, typer.Option(help="Of the head, at its highest. Default: 0.001.")
]
PrecisionOption = Annotated[
    Literal["auto", "fp32", "bf16"] | None, typer.Option(help="Number format of the network.")
]
PretrainedOption = Annotated[
    bool, typer.Option(help="Start from ImageNet weights where they can be had.")
]
StartOption = Annotated[
    Path | None,
    typer.Option(
        help="A checkpoint to fine-tune: torchvision's deeplabv3, or one of an earlier run."
    ),
]
SeedOption = Annotated[int, typer.Option(min=0, help="Seed of everything random.")]
ResumeOption = Annotated[
    bool, typer.Option("--resume", help="Go on with the project's last unfinished run.")
]
