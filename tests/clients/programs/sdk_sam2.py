"""inference-sdk: SAM 2 in every format, with every kind of prompt; prints JSON lines."""
# ruff: noqa: T201 - what it prints is what the test reads

import asyncio
import base64
import json
import os
import sys

import cv2
from inference_sdk import InferenceHTTPClient
from inference_sdk.http.errors import HTTPCallErrorError

path, url = sys.argv[1:]
CLICK = {"points": [{"x": 50, "y": 30, "positive": True}]}
BOX = {"box": {"x": 100, "y": 50, "width": 40, "height": 20}}
prompts = {
    "none": None,
    "a point": [CLICK],
    "a box": [BOX],
    "a point and a box": [CLICK, BOX],
    "both in one": [{**CLICK, **BOX}],
}


def client_in(mode: str) -> InferenceHTTPClient:
    client = InferenceHTTPClient(api_url=os.environ["SERVER"], api_key=os.environ["API_KEY"])
    return client.select_api_v0() if mode == "v0" else client


def report(way: str, case: str, answer: object) -> None:
    print(json.dumps({"way": way, "case": case, "answer": answer}))


for mode in ("default", "v0"):
    for case, sent in prompts.items():
        for form in ("json", "rle"):
            options = {"prompts": sent, "mask_input_format": form}
            answer = client_in(mode).sam2_segment_image(path, **options)
            report(f"{mode}, {form}", case, answer)
            answer = asyncio.run(client_in(mode).sam2_segment_image_async(path, **options))
            report(f"{mode}, {form}, async", case, answer)
client = client_in("default")
for kind, image in {"NumPy array": cv2.imread(path), "URL": url}.items():
    report(kind, "a point", client.sam2_segment_image(image, prompts=[CLICK]))
two = client.sam2_segment_image([path, cv2.imread(path)], prompts=[CLICK])
for answer in two:
    report("list", "a point", answer)
single = client.sam2_segment_image(path, prompts=[CLICK], multimask_output=False)
report("one mask", "a point", single)
data = asyncio.run(
    client.sam2_segment_image_async(path, prompts=[CLICK], mask_input_format="binary")
)
report("binary, async", "a point", base64.b64encode(data).decode())
for case, options in {
    "another model": {"sam2_version_id": "hiera_large"},
    "outside": {"prompts": [{"points": [{"x": 999, "y": 1, "positive": True}]}]},
}.items():
    try:
        client.sam2_segment_image(path, **options)
    except HTTPCallErrorError as error:
        report("error", case, [error.status_code, error.api_message])
