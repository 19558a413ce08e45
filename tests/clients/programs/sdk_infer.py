"""inference-sdk: infer with every kind of input, in both client modes; prints JSON lines."""
# ruff: noqa: T201 - what it prints is what the test reads

import json
import os
import sys

import cv2
from inference_sdk import InferenceHTTPClient
from PIL import Image

path = sys.argv[1]
inputs = {
    "path": path,
    "numpy": cv2.imread(path),
    "pil": Image.open(path).convert("RGB"),
    "list": [path, path],
}
for mode in ("default", "v0"):
    client = InferenceHTTPClient(api_url=os.environ["SERVER"], api_key=os.environ["API_KEY"])
    if mode == "v0":
        client.select_api_v0()
    for kind, image in inputs.items():
        result = client.infer(image, model_id=os.environ["MODEL"])
        print(json.dumps({"mode": mode, "kind": kind, "result": result}))
