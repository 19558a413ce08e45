"""From an empty project to a prediction, by what releases from 1.1 to 1.7 have in common.

Arguments: the folder with photos and `_annotations.coco.json`, the project's name, and the file
for what was seen.
"""

import json
import os
import sys
from pathlib import Path

import roboflow

folder, name, report = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
seen: dict[str, object] = {"release": roboflow.__version__}
workspace = roboflow.Roboflow(api_key=os.environ["API_KEY"]).workspace()
project = workspace.create_project(name, "semantic-segmentation", "Private", "colours")
for photo in sorted(folder.glob("*.png")):
    project.single_upload(
        image_path=str(photo),
        annotation_path=str(folder / "_annotations.coco.json"),
        split="valid" if photo.stem == "2" else "train",
    )
number = project.generate_version({"preprocessing": {}, "augmentation": {}})
version = project.version(number)
downloaded = folder.parent / f"{project.name}-png"
version.download("png-mask-semantic", location=str(downloaded))
seen["masks"] = sorted(path.name.split("_")[0] for path in downloaded.rglob("*_mask.png"))
newer = roboflow.__version__ >= "1.4"
if newer:
    seen["trained"] = type(version.train(model_type="deeplabv3plus")).__name__
else:
    try:
        version.train()
    except AssertionError:  # it trusts what it read of the version before the training
        seen["trained"] = "until it was finished"
version = workspace.project(project.id.split("/")[1]).version(number)
if newer:
    [trained] = version.models()
    seen["model"] = trained.model_id
    seen["weights"] = Path(trained.download(location=str(downloaded))).stat().st_size
    prediction = trained.predict(str(folder / "0.png"))
else:
    seen["model"] = "/".join(version.model.id.split("/")[-2:])  # the workspace is before it
    prediction = version.model.predict(str(folder / "0.png"))
prediction.save(str(report.with_suffix(".jpg")))
seen["prediction"] = prediction.json()["predictions"][0]
report.write_text(json.dumps(seen))
