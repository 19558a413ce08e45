"""roboflow: predict and save, and what is refused; prints JSON lines."""
# ruff: noqa: T201 - what it prints is what the test reads

import base64
import io
import json
import os
import pathlib
import sys

import numpy as np
import requests
from PIL import Image
from roboflow.models.semantic_segmentation import SemanticSegmentationModel

path, url, folder = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
project, version = os.environ["MODEL"].split("/")
key = os.environ["API_KEY"]
model = SemanticSegmentationModel(key, f"workspace/{project}/{version}")


def sent_for(image: Image.Image) -> str:
    """What the client sends instead of the picture: a JPEG of this quality."""
    buffer = io.BytesIO()
    image.save(buffer, quality=90, format="JPEG")
    return base64.b64encode(buffer.getvalue()).decode()


def report(case: str, sent: str, group: object) -> None:
    line = {"case": case, "sent": sent, "answer": group.json()}
    print(json.dumps(line, default=str))  # the group holds the array that it was given


predicted = model.predict(path)
report("predict, path", sent_for(Image.open(path)), predicted)
predicted.save(str(folder / "group.png"))
predicted[0].save(str(folder / "prediction.png"), transparency=60)
pixels = np.asarray(Image.open(path))
report("predict, NumPy array", sent_for(Image.fromarray(pixels)), model.predict(pixels))
file = base64.b64encode(pathlib.Path(path).read_bytes()).decode()
predicted = model.predict(url)
report("predict, URL", file, predicted)
predicted.save(str(folder / "hosted.png"))
report("predict, confidence 95", sent_for(Image.open(path)), model.predict(path, confidence=95))
for case, used, name in [
    ("wrong key", "atr_wrong", f"workspace/{project}/{version}"),
    ("unknown model", key, f"workspace/{project}/99"),
]:
    try:
        SemanticSegmentationModel(used, name).predict(path)
    except requests.HTTPError as error:
        refusal = {"status": error.response.status_code, "body": error.response.json()}
        print(json.dumps({"case": case, "refusal": refusal}))
