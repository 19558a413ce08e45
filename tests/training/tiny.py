"""A tiny data set, recipe and network; other rooms' tests load this file by its path."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from atrous.datasets.detect import open_dataset
from atrous.datasets.shapes import write_shapes_dataset
from atrous.datasets.version import Dataset
from atrous.domain.geometry import Size
from atrous.domain.recipes import PreprocessRecipe, TrainingRecipe
from atrous.training.run_folder import RunFolder

BACKBONE = "lcnet_035"  # the quickest of timm's that have an output stride
SIZE = Size(64, 64)
IMAGES = {"train": 8, "valid": 3, "test": 2}
# What a recipe needs for a training to take a second.
CHOICES: dict[str, Any] = {
    "backbone": BACKBONE,
    "pretrained": False,
    "epochs": 2,
    "batch_size": 4,
    "precision": "fp32",
}
# The same on the command line.
OPTIONS = (
    *("--backbone", BACKBONE, "--no-pretrained", "--epochs", "2"),
    *("--batch-size", "4", "--precision", "fp32"),
)


def write_tiny_set(folder: Path, size: Size = SIZE) -> Path:
    """Thirteen pictures of shapes as `png-mask-semantic`."""
    return write_shapes_dataset(folder, images=IMAGES, size=size)


def tiny_dataset(folder: Path) -> Dataset:
    """Write the set into a new folder and open it."""
    return open_dataset(write_tiny_set(folder))


def tiny_recipe(**choices: Any) -> TrainingRecipe:
    """A recipe of the tiny set, with these fields changed."""
    plain = TrainingRecipe(PreprocessRecipe(SIZE), crop=SIZE, **CHOICES)
    return replace(plain, **choices)


def new_run(folder: Path, recipe: TrainingRecipe) -> RunFolder:
    """A run folder with its recipe, not trained yet."""
    run = RunFolder(folder)
    run.create(recipe)
    return run


def weights(run: RunFolder) -> bytes:
    """All tensors of a run's checkpoints."""
    return b"".join(path.read_bytes() for path in sorted(run.checkpoints.glob("*.safetensors")))


def stop_after(epoch: int, error: type[BaseException] = KeyboardInterrupt) -> Callable[..., None]:
    """A report of progress that raises once this epoch is done and saved."""

    def report(progress: Any) -> None:
        if progress.results and progress.epoch == epoch:
            raise error

    return report


def in_double(make_network: Callable[..., Any]) -> Callable[..., Any]:
    """The same networks in float64, for sums that differ by their order to agree."""

    def make(*arguments: Any) -> Any:
        network = make_network(*arguments).double()
        network.register_forward_pre_hook(lambda _, inputs: (inputs[0].double(), *inputs[1:]))
        return network

    return make
