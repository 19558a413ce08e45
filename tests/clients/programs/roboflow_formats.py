"""Labels in every format, and a whole data set as a zip.

Arguments: the folder that has `labels/` (photos and an annotation of each) and `masks/` (a data
set of PNG masks), and the file for what was seen.
"""

import json
import os
import sys
from pathlib import Path

import roboflow

folder, report = Path(sys.argv[1]), Path(sys.argv[2])
seen: dict[str, object] = {}
workspace = roboflow.Roboflow(api_key=os.environ["API_KEY"]).workspace()
project = workspace.create_project("Formats", "semantic-segmentation", "Private", "surface")
for annotation in sorted((folder / "labels").iterdir()):
    if annotation.suffix in (".png", ".yaml"):
        continue
    sent = project.single_upload(
        image_path=str(folder / "labels" / f"{annotation.stem}.png"),
        annotation_path=str(annotation),
        annotation_labelmap=str(folder / "labels" / "data.yaml"),
        split="train",
    )
    seen[annotation.name] = sent["annotation"]
seen["zip"] = workspace.upload_dataset(
    str(folder / "masks"), "formats", use_zip_upload=True, batch_name="zip", poll_interval=0.5
)
seen["classes"] = workspace.project("formats").classes
seen["splits"] = workspace.project("formats").splits
number = project.generate_version({"preprocessing": {}, "augmentation": {}})
project.version(number).download("yolo-seg", location=str(folder / "yolo-seg"))
report.write_text(json.dumps(seen))
