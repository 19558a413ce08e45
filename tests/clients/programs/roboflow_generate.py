"""Versions with steps: every option that the package explains, one that it is told off for.

Arguments: the folder with photos and `_annotations.coco.json`, and the file for what it saw.
"""

import json
import os
import sys
from pathlib import Path

import roboflow

folder, report = Path(sys.argv[1]), Path(sys.argv[2])
seen: dict[str, object] = {}

workspace = roboflow.Roboflow(api_key=os.environ["API_KEY"]).workspace()
project = workspace.create_project("Steps", "semantic-segmentation", "Private", "surface")
for stem, split in (("1", "train"), ("2", "train"), ("4", "valid")):
    project.single_upload(
        image_path=str(folder / f"{stem}.png"),
        annotation_path=str(folder / "_annotations.coco.json"),
        split=split,
    )
try:
    project.generate_version({"preprocessing": {}, "augmentation": {"rotate": {"degrees": 181}}})
except RuntimeError as error:
    seen["refused"] = str(error)

augmentation = {
    "bbblur": {"pixels": 1.5},
    "bbflip": {"horizontal": True, "vertical": False},
    "blur": {"pixels": 1.5},
    "brightness": {"brighten": True, "darken": False, "percent": 91},
    "crop": {"min": 12, "max": 71},
    "cutout": {"count": 26, "percent": 71},
    "exposure": {"percent": 30},
    "flip": {"horizontal": True, "vertical": False},
    "hue": {"degrees": 180},
    "image": {"versions": 3},
    "mosaic": True,
    "ninety": {"clockwise": True, "counter-clockwise": False, "upside-down": False},
    "noise": {"percent": 50},
    "rgrayscale": {"percent": 50},
    "rotate": {"degrees": 45},
    "saturation": {"percent": 50},
    "shear": {"horizontal": 45, "vertical": 45},
}
preprocessing = {
    "auto-orient": True,
    "contrast": {"type": "Contrast Stretching"},
    "filter-null": {"percent": 50},
    "grayscale": True,
    "remap": {"road": "street"},
    "resize": {"width": 40, "height": 40, "format": "Fit (black edges) in"},
    "static-crop": {"x_min": 10, "x_max": 90, "y_min": 10, "y_max": 90},
    "tile": {"rows": 2, "columns": 2},
}
number = project.generate_version({"preprocessing": preprocessing, "augmentation": augmentation})
version = project.version(number)
version.download("png-mask-semantic", location=str(folder / "steps"))
read = project.version(number)
seen["splits"] = read.splits
seen["steps"] = sorted(name for name, step in read.augmentation.items() if step["enabled"])
report.write_text(json.dumps(seen))
