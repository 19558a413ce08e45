"""Plain HTTP requests and Pillow, no client library: a mask, drawn over its picture.

ATROUS_API_KEY=atr_... python predict_with_requests.py photo.jpg shapes/1 drawn.png
"""
# ruff: noqa: T201 - what it prints is for its user

import base64
import io
import json
import os
import sys
import urllib.request
from pathlib import Path

from PIL import Image, ImageOps

URL = os.environ.get("ATROUS_URL", "http://localhost:9001")
COLORS = [(0, 0, 0), (230, 80, 0), (40, 170, 250), (0, 190, 120), (245, 215, 50), (210, 90, 190)]


def main(photo: str, model: str, output: str) -> None:
    """Segment `photo`, print its classes and save the overlay."""
    headers = {"Authorization": f"Bearer {os.environ['ATROUS_API_KEY']}"}
    body = base64.b64encode(Path(photo).read_bytes())
    with urllib.request.urlopen(urllib.request.Request(f"{URL}/{model}", body, headers)) as answer:
        predictions = json.load(answer)["predictions"]
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
