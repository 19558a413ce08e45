"""Images per second of our training loop against a plain loop over segmentation_models_pytorch.

python benchmarks/train_speed.py                   three cases and our levers, about 7 minutes
python benchmarks/train_speed.py --seconds 20      quicker and less sure
python benchmarks/train_speed.py --data DIR        another data set than drawn shapes

benchmarks/README.md says what is compared.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from serving.figures import paired_ratio
from serving.machine import machine_facts, version_of
from training_sides import own_loop, plain_loop
from training_sides.sides import Job, Loop, Running, Side, Step, alternate

from atrous.datasets.shapes import write_shapes_dataset
from atrous.domain.geometry import Size
from atrous.training.precision import bf16_is_fast, pick_device

HERE = Path(__file__).parent
TARGET, MOST_LOADING = 1.2, 0.1
BLOCK, FEWEST_ROUNDS, WARM_UP = 2, 3, 2  # steps, blocks of each side, steps
DRAWN = {"train": 40, "valid": 4, "test": 1}  # photos
LOOPS: dict[str, Loop] = {
    "own": own_loop.train_in_turns,
    "plain": plain_loop.train_in_turns,
}
PLAIN, LAST, OURS = "plain", "plain, channels last", "ours"
# Of these the mathematics differ: they are shown, and count for no target.
LEVERS: dict[str, dict[str, Any]] = {
    "loss on a quarter of the pixels": {"loss_stride": 2},
    "first layers frozen (stride 4)": {"frozen_stride": 4},
    "photos of half the size": {"early_share": 1.0, "early_scale": 0.5},
    "all three": {"loss_stride": 2, "frozen_stride": 4, "early_share": 1.0, "early_scale": 0.5},
}


@dataclass(frozen=True)
class Row:
    """What one side reached in one case."""

    case: str
    side: str
    photos_per_s: float  # by the median step
    step_s: float  # median
    data_share: float  # of the time of all steps
    times_plain: float | None  # how many times faster than the plain loop, turn by turn
    times_channels_last: float | None  # the same against the plain loop in channels-last
    counts: bool  # the same mathematics as the plain loop: judged by the target


def main() -> None:
    """Measure, print, write JSON."""
    options = read_options()
    console = Console(width=max(Console().width, 120))
    machine = machine_facts()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="atrous-train-speed-") as folder:
        job = job_of(options, Path(folder))
        for case, sides in cases(options.backbone).items():
            console.print(f"{case}: {len(sides)} sides in turn", highlight=False)
            rows += measure(case, sides, job, options.seconds)
    console.print(table_of(rows, job))
    targets = judge(rows)
    for name, target in targets.items():
        verdict = "holds" if target["holds"] else "DOES NOT HOLD"
        console.print(f"{name}: {target['value']:.3g} ({target['wanted']}): {verdict}")
    figures = {
        "machine": machine,
        "versions": {
            name: version_of(name)
            for name in ("torch", "torchvision", "timm", "segmentation_models_pytorch")
        },
        "job": {**asdict(job), "data": options.data.name if options.data else "drawn shapes"},
        "rows": [asdict(row) for row in rows],
        "targets": targets,
    }
    options.out.write_text(json.dumps(figures, indent=2) + "\n")
    console.print(f"written to {options.out}", highlight=False)


def read_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("--seconds", type=float, default=45.0, help="for one case, after its warm-up")
    add("--backbone", help="only cases of this backbone, a timm name")
    add("--batch-size", type=int, default=4)
    add("--height", type=int, default=352, help="of crops; smp needs a multiple of 16")
    add("--width", type=int, default=480)
    add("--data", type=Path, help="a labelled data set; without, shapes drawn at 480x360")
    add("--classes", help="names, comma-separated, where the data set does not tell them")
    add("--ignore-id", type=int)
    add("--out", type=Path, default=HERE / "results" / "train_speed.json")
    return parser.parse_args()


def job_of(options: argparse.Namespace, folder: Path) -> Job:
    """What to train on."""
    data = options.data or write_shapes_dataset(
        folder / "shapes", images=DRAWN, size=Size(360, 480)
    )
    return Job(
        data=data,
        classes=tuple(options.classes.split(",")) if options.classes else None,
        ignore_id=options.ignore_id,
        height=options.height,
        width=options.width,
        batch_size=options.batch_size,
    )


def cases(backbone: str | None) -> dict[str, list[Side]]:
    """All sides of each case; the plain loop first."""
    found: dict[str, list[Side]] = {}
    automatic = "bf16" if bf16_is_fast(pick_device()) else "fp32"
    wanted = [("tf_efficientnet_lite0", "fp32"), ("resnet18", "fp32")]
    if automatic != "fp32":
        wanted.insert(1, ("tf_efficientnet_lite0", automatic))
    for name, precision in wanted:
        if backbone in (None, name):
            plain = Side(PLAIN, "plain", name, precision, channels_last=False)
            found[f"{name}, {precision}"] = [
                plain,
                replace(plain, name=LAST, channels_last=True),
                Side(OURS, "own", name, precision),
            ]
    first = backbone or wanted[0][0]
    found[f"{first}, fp32: levers"] = [
        Side(PLAIN, "plain", first, "fp32", channels_last=False),
        *(Side(name, "own", first, "fp32", choices=lever) for name, lever in LEVERS.items()),
    ]
    return found


def measure(case: str, sides: Sequence[Side], job: Job, seconds: float) -> list[Row]:
    """Let all sides of a case take turns."""
    with ExitStack() as stack:
        running = []
        for side in sides:
            running.append(Running(side, job, LOOPS[side.kind]))
            stack.callback(running[-1].stop)
        for side_at_work in running:
            side_at_work.steps(WARM_UP)
        end = time.monotonic() + seconds
        blocks = alternate(running, BLOCK, FEWEST_ROUNDS, lambda: time.monotonic() < end)
    return rows_of(case, sides, blocks, job.batch_size)


def rows_of(
    case: str, sides: Sequence[Side], blocks: Sequence[Sequence[Sequence[Step]]], photos: int
) -> list[Row]:
    """Figures of every side of a case."""
    seconds = [[[step.whole_s for step in block] for block in own] for own in blocks]
    by_name = {side.name: times for side, times in zip(sides, seconds, strict=True)}
    rows = []
    for side, own, times in zip(sides, blocks, seconds, strict=True):
        steps = [step for block in own for step in block]
        median = statistics.median(step.whole_s for step in steps)
        rows.append(
            Row(
                case=case,
                side=side.name,
                photos_per_s=photos / median,
                step_s=median,
                data_share=sum(step.data_s for step in steps) / sum(step.whole_s for step in steps),
                times_plain=paired_ratio(by_name[PLAIN], times),
                times_channels_last=(
                    paired_ratio(by_name[LAST], times) if LAST in by_name else None
                ),
                counts=side.kind == "own" and not side.choices,
            )
        )
    return rows


def judge(rows: Sequence[Row]) -> dict[str, dict[str, Any]]:
    """The targets of speed and of data loading."""
    targets: dict[str, dict[str, Any]] = {}
    for row in rows:
        if row.counts and row.times_plain is not None:
            targets[f"times the plain loop, {row.case}"] = {
                "value": row.times_plain,
                "wanted": f"at least {TARGET}",
                "holds": row.times_plain >= TARGET,
            }
    shares = [row.data_share for row in rows if row.counts]
    if shares:
        targets["our data loading, greatest share of a step"] = {
            "value": max(shares),
            "wanted": f"at most {MOST_LOADING}",
            "holds": max(shares) <= MOST_LOADING,
        }
    return targets


def table_of(rows: Sequence[Row], job: Job) -> Table:
    """All rows for people."""
    table = Table(title=f"crops {job.width}x{job.height}, batch {job.batch_size}")
    for name in ("case", "side", "photos/s", "s/step", "data", "x plain", "x channels last"):
        table.add_column(name, justify="left" if name in ("case", "side") else "right")
    for row in rows:
        last = row.times_channels_last
        table.add_row(
            row.case,
            row.side,
            f"{row.photos_per_s:.2f}",
            f"{row.step_s:.2f}",
            f"{row.data_share:.1%}",
            f"{row.times_plain:.2f}",
            "" if last is None else f"{last:.2f}",
        )
    return table


if __name__ == "__main__":
    main()
