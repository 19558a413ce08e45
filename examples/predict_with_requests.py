"""Plain HTTP requests and Pillow, no client library: a mask, drawn over its picture.

ATROUS_API_KEY=atr_... python predict_with_requests.py photo.jpg shapes/1 drawn.png
"""
# ruff: noqa: T201 - what it prints is for its user

import argparse
import base64
import io
import json
import os
import sys
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from PIL import Image, ImageOps

URL = os.environ.get("ATROUS_URL", "http://localhost:9001")
COLORS = [(0, 0, 0), (230, 80, 0), (40, 170, 250), (0, 190, 120), (245, 215, 50), (210, 90, 190)]
options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
for argument in ("photo", "model", "output"):
    options.add_argument(argument)
wanted = options.parse_args()

headers = {"Authorization": f"Bearer {os.environ.get('ATROUS_API_KEY', '')}"}
body = base64.b64encode(Path(wanted.photo).read_bytes())
try:
    predictions = json.load(urlopen(Request(f"{URL}/{wanted.model}", body, headers)))["predictions"]
except HTTPError as error:
    sys.exit(f"the server answers {error.code}: {json.load(error)['message']}")
names = predictions["class_map"]
print(", ".join(names[str(class_id)] for class_id in predictions["present_class_ids"]))
mask = Image.open(io.BytesIO(base64.b64decode(predictions["segmentation_mask"])))
picture = ImageOps.exif_transpose(Image.open(wanted.photo)).convert("RGB")
colored = mask.copy()
colored.putpalette([value for index in range(256) for value in COLORS[index % len(COLORS)]])
blended = Image.blend(picture, colored.convert("RGB"), 0.5)
found = mask.point(lambda class_id: 255 * (class_id > 0))  # all but background
Image.composite(blended, picture, found).save(wanted.output)
