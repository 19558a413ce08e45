"""The journey of the official package: from an empty workspace to a downloaded version.

Arguments: the folder with photos and `_annotations.coco.json`, and the file for what it saw.
"""

import json
import os
import sys
from pathlib import Path

import roboflow
from roboflow.adapters import rfapi

folder, report = Path(sys.argv[1]), Path(sys.argv[2])
annotations = str(folder / "_annotations.coco.json")
seen: dict[str, object] = {}

try:
    roboflow.Roboflow(api_key="wrong")
except RuntimeError as error:
    seen["wrong key"] = str(error)

workspace = roboflow.Roboflow(api_key=os.environ["API_KEY"]).workspace()
seen["workspace"] = workspace.url
project = workspace.create_project("Roads", "semantic-segmentation", "Private", "surface")
seen["created"] = project.id
try:
    project.generate_version({"preprocessing": {}, "augmentation": {}})
except RuntimeError as error:
    seen["empty"] = str(error)

ids = {}
for photo in sorted(folder.glob("*.png")):
    sent = project.single_upload(
        image_path=str(photo),
        annotation_path=annotations,
        split="valid" if photo.stem in ("4", "5") else "train",
        batch_name="first batch",
        tag_names=["day", photo.stem],
        metadata={"number": int(photo.stem)},
    )
    ids[photo.stem] = sent["image"]["id"]
    assert sent["annotation"]["success"], sent
again = project.single_upload(image_path=str(folder / "0.png"), annotation_path=annotations)
seen["again"] = [again["image"].get("duplicate"), again["image"]["id"] == ids["0"]]
other = {"name": "other.json", "rawText": (folder / "other.coco.json").read_text()}
seen["annotated"] = project.single_upload(image_id=ids["0"], annotation_path=other)["annotation"]
replaced = project.single_upload(
    image_id=ids["0"], annotation_path=other, annotation_overwrite=True
)
seen["replaced"] = replaced["annotation"]
try:
    project.single_upload(image_path=str(folder / "broken.jpg"))
except rfapi.ImageUploadError as error:
    seen["broken"] = str(error)

seen["found"] = [found["name"] for found in project.search(tag="3", fields=["id", "name"])]
seen["pages"] = [len(page) for page in project.search_all(limit=4)]
image = project.image(ids["1"])
seen["image"] = [image["name"], image["split"], sorted(image["tags"]), image["labels"]]
seen["batches"] = [(each["name"], each["images"]) for each in project.get_batches()["batches"]]
project.update_image_metadata(ids["1"], metadata={"more": "x"}, add_tags=["night"])
seen["tags"] = sorted(project.image(ids["1"])["tags"])
project.delete_images([ids["3"]])

number = project.generate_version({"preprocessing": {"auto-orient": True}, "augmentation": {}})
version = project.version(number)
for kind in ("png-mask-semantic", "coco"):
    version.download(kind, location=str(folder / kind))
read = workspace.project("roads")
seen["splits"] = read.splits
seen["classes"] = read.classes
seen["versions"] = [each.version for each in read.versions()]
seen["exports"] = sorted(read.version(number).exports)
seen["models"] = len(read.version(number).models())
report.write_text(json.dumps({**seen, "ids": ids}))
