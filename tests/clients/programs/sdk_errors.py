"""inference-sdk: what users see when something is wrong; prints JSON lines."""
# ruff: noqa: T201 - what it prints is what the test reads

import base64
import json
import os
import sys

from inference_sdk import InferenceHTTPClient
from inference_sdk.http.errors import HTTPCallErrorError

path, limit = sys.argv[1], int(sys.argv[2])
good_key, good_model = os.environ["API_KEY"], os.environ["MODEL"]
broken = base64.b64encode(b"this is no picture").decode()
cases = {
    "wrong key": ("atr_wrong", good_model, path),
    "unknown model": (good_key, "colours/99", path),
    "broken image": (good_key, good_model, broken),
    "oversized": (good_key, good_model, "A" * (limit + 1)),
}
for name, (key, model, image) in cases.items():
    for mode in ("default", "v0"):
        client = InferenceHTTPClient(api_url=os.environ["SERVER"], api_key=key)
        if mode == "v0":
            client.select_api_v0()
        try:
            client.infer(image, model_id=model)
        except HTTPCallErrorError as error:
            status, message = error.status_code, error.api_message
        print(json.dumps({"case": name, "mode": mode, "status": status, "message": message}))
