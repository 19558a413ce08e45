"""What each lever of the training is worth: the recipe without it, or with one more, at one budget.

python benchmarks/ablation.py                   CamVid at 240x180, 8 minutes for each training
python benchmarks/ablation.py --only lovasz     only trainings whose name holds the text
python benchmarks/ablation.py --seeds 0,1       each with two seeds

What is in the JSON already is not trained again. benchmarks/README.md says how to read the table.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table
from serving.machine import machine_facts

HERE = Path(__file__).parent
CAMVID = HERE.parent.parent / "shared" / "data" / "camvid"
CLASSES = "sky,building,pole,road,pavement,tree,sign,fence,car,pedestrian,bicyclist"
WHOLE = "the recipe"
# As benchmarks/real_data.sh trains CamVid.
RECIPE = {
    "frozen_stride": 4,
    "loss": "ce + lovasz",
    "class_weights": "none",
    "early_share": 0.45,
    "color_jitter": 0.5,
    "copy_paste": 0.5,
    "label_smoothing": 0.1,
    "ema_decay": 0.999,
    "weight_decay": 0.05,
    "export_output_stride": 8,
}
# What is different in each training; all else is as in the recipe.
VARIANTS: dict[str, dict[str, object]] = {
    WHOLE: {},
    "without Lovasz": {"loss": "ce"},
    "without Lovasz, balanced weights": {"loss": "ce", "class_weights": "balanced"},
    "balanced weights": {"class_weights": "balanced"},
    "weights of ENet": {"class_weights": "enet"},
    "whole photos from the beginning": {"early_share": 0.0},
    "60 % on photos of half the size": {"early_share": 0.6},
    "backbone at a quarter of the rate": {"backbone_rate": 0.25},
    "nothing frozen": {"frozen_stride": 0},
    "loss on all pixels": {"loss_stride": 1},
    "scale from 0.5": {"scale_min": 0.5},
    "batches of 8": {"batch_size": 8},
    "colours by 0.3": {"color_jitter": 0.3},
    "colours as they are": {"color_jitter": 0.0},
    "no averaged weights": {"ema_decay": 0.0},
    "exported at output stride 16": {"export_output_stride": 16},
    "averaged over a shorter past": {"ema_decay": 0.995},
    "less weight decay": {"weight_decay": 0.01},
    "no copy-paste": {"copy_paste": 0.0},
    "photos of rare classes more often": {"repeat_threshold": 0.3},
    "no label smoothing": {"label_smoothing": 0.0},
    "the context as it falls": {"aligned": False},
    "OHEM and Lovasz": {"loss": "ohem + lovasz"},
    "RMI": {"loss": "ce + 0.5*rmi"},
}
# Choices that have an option of their own; others go through --set.
OPTIONS = {
    "loss": "--loss",
    "class_weights": "--class-weights",
    "export_output_stride": "--export-stride",
    "batch_size": "--batch-size",
}


@dataclass(frozen=True)
class Run:
    """One training and what came of it; mIoU as shares of 1."""

    name: str
    seed: int
    budget: str
    size: int
    choices: dict[str, object]
    valid_miou: float
    test_miou: float
    epochs: int

    def is_of(self, name: str, choices: Mapping[str, object], options: argparse.Namespace) -> bool:
        """Whether it is that training with these options, whatever the seed."""
        given = (name, dict(choices), options.budget, options.size)
        return given == (self.name, self.choices, self.budget, self.size)


def main() -> None:
    """Train what is missing, write JSON after each training, print the table."""
    options = read_options()
    console = Console(width=max(Console().width, 100))
    runs = read_runs(options.out)
    for name, changes in chosen(options.only).items():
        choices = {**RECIPE, **changes}
        for seed in options.seeds:
            if any(run.is_of(name, choices, options) and run.seed == seed for run in runs):
                continue
            console.print(f"{name}, seed {seed}: {options.budget}", highlight=False)
            runs.append(train(name, choices, seed, options))
            figures = {"machine": machine_facts(), "runs": [asdict(run) for run in runs]}
            options.out.write_text(json.dumps(figures, indent=2) + "\n")
    console.print(table_of(run for run in runs if is_current(run, options)))


def is_current(run: Run, options: argparse.Namespace) -> bool:
    """Whether it is a training of these options and of the recipe as it is now."""
    changes = VARIANTS.get(run.name)
    return changes is not None and run.is_of(run.name, {**RECIPE, **changes}, options)


def read_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("--data", type=Path, default=CAMVID, help="CamVid, labelled with 11 classes and 11 = void")
    add("--budget", default="8m", help="of each training (default 8m)")
    add("--size", type=int, default=240, help="longer side of the network's input")
    add("--seeds", type=seeds, default=(0,), help="as 0,1,2")
    add("--only", default="", help="trainings whose name holds this text, besides the recipe's own")
    add("--out", type=Path, default=HERE / "results" / "ablation.json")
    return parser.parse_args()


def seeds(text: str) -> tuple[int, ...]:
    """Read whole numbers with commas between them."""
    return tuple(int(part) for part in text.split(","))


def chosen(only: str) -> dict[str, dict[str, object]]:
    """The recipe itself, and the variants whose name holds the text."""
    return {
        name: changes
        for name, changes in VARIANTS.items()
        if name == WHOLE or only.lower() in name.lower()
    }


def read_runs(out: Path) -> list[Run]:
    """What was trained before."""
    return [Run(**run) for run in json.loads(out.read_text())["runs"]] if out.exists() else []


def train(name: str, choices: Mapping[str, object], seed: int, options: argparse.Namespace) -> Run:
    """Train in a folder of its own, by the command that users have."""
    with tempfile.TemporaryDirectory(prefix="atrous-ablation-") as home:
        command = [sys.executable, "-m", "atrous", "train", str(options.data)]
        command += ["--as", "ablation", "--classes", CLASSES, "--ignore-id", "11"]
        command += ["--time-budget", options.budget, "--size", str(options.size)]
        command += ["--seed", str(seed), *arguments_of(choices)]
        subprocess.run(command, check=True, env={**os.environ, "ATROUS_HOME": home})
        run = Path(home) / "runs" / "ablation" / "0001"
        metrics = json.loads((run / "metrics.json").read_text())
        epochs = len((run / "results.csv").read_text().splitlines()) - 1
    return Run(
        name=name,
        seed=seed,
        budget=options.budget,
        size=options.size,
        choices=dict(choices),
        valid_miou=metrics["valid"]["miou"],
        test_miou=metrics["test"]["miou"],
        epochs=epochs,
    )


def arguments_of(choices: Mapping[str, object]) -> list[str]:
    """Choices as arguments of `atrous train`.

    >>> arguments_of({"loss": "ce", "early_share": 0.5})
    ['--loss', 'ce', '--set', 'early_share=0.5']
    """
    arguments = []
    for name, value in choices.items():
        arguments += (
            [OPTIONS[name], str(value)] if name in OPTIONS else ["--set", f"{name}={value}"]
        )
    return arguments


def gains(runs: Sequence[Run]) -> dict[str, tuple[float, float, int]]:
    """By name: test mIoU, how much more than the recipe's with the same seeds, and the runs.

    Both in points, means over the seeds that both were trained with.
    """
    whole = {run.seed: run.test_miou for run in runs if run.name == WHOLE}
    found = {}
    for name in dict.fromkeys(run.name for run in runs):
        own = [run for run in runs if run.name == name and run.seed in whole]
        if own:
            reached = 100 * statistics.mean(run.test_miou for run in own)
            compared = 100 * statistics.mean(whole[run.seed] for run in own)
            found[name] = (reached, reached - compared, len(own))
    return found


def table_of(runs: Iterable[Run]) -> Table:
    """Every training beside the recipe's."""
    table = Table("training", "test mIoU", "points more than the recipe", "seeds")
    for name, (reached, more, count) in gains(list(runs)).items():
        table.add_row(name, f"{reached:.1f}", "" if name == WHOLE else f"{more:+.1f}", str(count))
    return table


if __name__ == "__main__":
    main()
