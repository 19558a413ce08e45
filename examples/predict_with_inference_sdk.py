"""Roboflow's client against your own server: a mask, drawn over its picture.

pip install inference-sdk pillow     (in an environment without atrous: OpenCVs differ)
ATROUS_API_KEY=atr_... python predict_with_inference_sdk.py photo.jpg shapes/1 drawn.png
"""
# ruff: noqa: T201 - what it prints is for its user

import base64
import io
import os
import sys

from inference_sdk import InferenceHTTPClient
from PIL import Image, ImageOps

COLORS = [(0, 0, 0), (230, 80, 0), (40, 170, 250), (0, 190, 120), (245, 215, 50), (210, 90, 190)]


def main(photo: str, model: str, output: str) -> None:
    """Segment `photo`, print its classes and save the overlay."""
    client = InferenceHTTPClient(
        api_url=os.environ.get("ATROUS_URL", "http://localhost:9001"),
        api_key=os.environ["ATROUS_API_KEY"],
    )
    predictions = client.infer(photo, model_id=model)["predictions"]
    names = predictions["class_map"]
    print(", ".join(names[str(class_id)] for class_id in predictions["present_class_ids"]))

    mask = Image.open(io.BytesIO(base64.b64decode(predictions["segmentation_mask"])))
    picture = ImageOps.exif_transpose(Image.open(photo)).convert("RGB")
    colored = mask.copy()
    colored.putpalette([value for index in range(256) for value in COLORS[index % len(COLORS)]])
    blended = Image.blend(picture, colored.convert("RGB"), 0.5)
    found = mask.point(lambda class_id: 255 * (class_id > 0))  # all but background
    Image.composite(blended, picture, found).save(output)


if __name__ == "__main__":
    main(*sys.argv[1:])
