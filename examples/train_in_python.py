"""Training without the command line: draw a data set, train on it, export, measure.

pip install -c constraints.txt -e '.[train]'     (in the checkout; `make up` has done it)
python train_in_python.py work/ --epochs 12
"""
# ruff: noqa: T201 - what it prints is for its user

import argparse
from pathlib import Path

from atrous.datasets.detect import open_dataset
from atrous.datasets.shapes import write_shapes_dataset
from atrous.domain.geometry import Size
from atrous.export.package import export_package
from atrous.jobs.evaluate import measure_package
from atrous.training.checkpoint import load_best
from atrous.training.configure import recipe_for
from atrous.training.loop import train
from atrous.training.run_folder import RunFolder

options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
options.add_argument("folder", type=Path, help="a new folder to work in")
options.add_argument("--epochs", type=int, default=12)
options.add_argument("--pictures", type=int, default=240, help="to train on")
options.add_argument("--side", type=int, default=128, help="of the pictures, in pixels")
wanted = options.parse_args()
if (wanted.folder / "data").exists():
    options.error(f"{wanted.folder} was worked in before; name a new folder")
counts = {"train": wanted.pictures, "valid": 40, "test": 40}
size = Size(wanted.side, wanted.side)
dataset = open_dataset(write_shapes_dataset(wanted.folder / "data", images=counts, size=size))
recipe = recipe_for(dataset, epochs=wanted.epochs, learning_rate=2e-3)
run = RunFolder(wanted.folder / "run")
run.create(recipe)
train(dataset, recipe, run, lambda now: print(now.results) if now.results else None)
best = load_best(run)
package = export_package(
    best.network, best.classes, best.recipe, dataset.splits["valid"], run.package, {}
)
print(f"{package.folder}: mIoU {measure_package(package, dataset, 'test').report['miou']:.3f}")
