"""inference-sdk: every way to infer, in both client modes; prints JSON lines.

A line holds what the client sent, as its own loader encodes it, and what it gave back.
"""
# ruff: noqa: T201 - what it prints is what the test reads

import asyncio
import base64
import io
import json
import os
import pathlib
import sys

import cv2
from inference_sdk import InferenceConfiguration, InferenceHTTPClient, VisualisationResponseFormat
from inference_sdk.http.utils.loaders import (
    load_static_inference_input,
    load_static_inference_input_async,
)
from PIL import Image

path, turned, url, transports = sys.argv[1:]
model = os.environ["MODEL"]
SMALLER = 40  # pixels: the limit of the client's downsizing
inputs = {
    "path": path,
    "path of a turned JPEG": turned,
    "NumPy array": cv2.imread(path),
    "PIL image": Image.open(path).convert("RGB"),
    "base64 string": base64.b64encode(pathlib.Path(path).read_bytes()).decode(),
    "URL": url,
    "list": [path, cv2.imread(path), Image.open(path).convert("RGB")],
}
configurations = {
    "list, two at once": (inputs["list"], {"max_batch_size": 2, "max_concurrent_requests": 2}),
    "downsizing": (path, {"client_downsizing_disabled": False, "default_max_input_size": SMALLER}),
    "confidence 0.95": (path, {"confidence_threshold": 0.95}),
}
for transport in transports.split(","):
    if transport:
        configurations[f"key by {transport}"] = (path, {"api_key_transport": transport})
drawings = {
    "format image": {"format": "image"},
    "format image, PIL": {
        "format": "image",
        "output_visualisation_format": VisualisationResponseFormat.PILLOW,
    },
    "format image_and_json, NumPy": {
        "format": "image_and_json",
        "output_visualisation_format": VisualisationResponseFormat.NUMPY,
    },
}


def client_in(mode: str, configuration: dict) -> InferenceHTTPClient:
    client = InferenceHTTPClient(api_url=os.environ["SERVER"], api_key=os.environ["API_KEY"])
    client.configure(InferenceConfiguration(**configuration))
    return client.select_api_v0() if mode == "v0" else client


def report(mode: str, way: str, case: str, sent: list, answer: object) -> None:
    results = answer if isinstance(answer, list) else [answer]
    for result in results:
        if "visualization" in result:
            result["visualization"] = as_png(result["visualization"])
    line = {"mode": mode, "way": way, "case": case, "sent": sent, "results": results}
    print(json.dumps(line))


def as_png(drawn: object) -> str:
    if isinstance(drawn, str):
        return drawn
    if isinstance(drawn, Image.Image):
        buffer = io.BytesIO()
        drawn.save(buffer, "PNG")
        return base64.b64encode(buffer.getvalue()).decode()
    return base64.b64encode(cv2.imencode(".png", drawn)[1].tobytes()).decode()


def infer_in_both_ways(mode: str, case: str, image: object, configuration: dict) -> None:
    limit = SMALLER if "default_max_input_size" in configuration else None
    sent = [text for text, _ in load_static_inference_input(image, limit, limit)]
    client = client_in(mode, configuration)
    report(mode, "infer", case, sent, client.infer(image, model_id=model))
    loaded = asyncio.run(load_static_inference_input_async(image, limit, limit))
    sent = [text for text, _ in loaded]
    client = client_in(mode, configuration)
    answer = asyncio.run(client.infer_async(image, model_id=model))
    report(mode, "infer_async", case, sent, answer)


for mode in ("default", "v0"):
    for case, image in inputs.items():
        infer_in_both_ways(mode, case, image, {})
    for case, (image, configuration) in configurations.items():
        infer_in_both_ways(mode, case, image, configuration)
    client = client_in(mode, {}).select_model(model)
    report(mode, "infer", "select_model", [inputs["base64 string"]], client.infer(path))
    os.chdir(pathlib.Path(path).parent)  # the old client puts paths into lower case
    for reference, frame, answer in client.infer_on_stream("."):
        sent = [text for text, _ in load_static_inference_input(frame)]
        report(mode, "infer_on_stream", pathlib.Path(reference).name, sent, answer)
for case, configuration in drawings.items():
    infer_in_both_ways("v0", case, path, configuration)
