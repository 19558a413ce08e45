"""inference-sdk: what users see when something is wrong; prints JSON lines."""
# ruff: noqa: T201 - what it prints is what the test reads

import asyncio
import base64
import json
import os
import sys

from inference_sdk import InferenceConfiguration, InferenceHTTPClient
from inference_sdk.http.errors import HTTPCallErrorError

path, limit = sys.argv[1], int(sys.argv[2])
good_key, good_model = os.environ["API_KEY"], os.environ["MODEL"]
broken = base64.b64encode(b"this is no picture").decode()
wrong_word = {"disable_preproc_contrast": "maybe"}
cases = {
    "broken picture": (good_key, good_model, broken, {}),
    "wrong key": ("atr_wrong", good_model, path, {}),
    "unknown model": (good_key, "colours/99", path, {}),
    "body over the limit": (good_key, good_model, "A" * (limit + 1), {}),
    "wrong parameter": (good_key, good_model, path, wrong_word),
}
for case, (key, model, image, configuration) in cases.items():
    for mode in ("default", "v0"):
        client = InferenceHTTPClient(api_url=os.environ["SERVER"], api_key=key)
        client.configure(InferenceConfiguration(**configuration))
        if mode == "v0":
            client.select_api_v0()
        for way in ("infer", "infer_async"):
            status, message = 200, ""
            try:
                if way == "infer":
                    client.infer(image, model_id=model)
                else:
                    asyncio.run(client.infer_async(image, model_id=model))
            except HTTPCallErrorError as error:
                status, message = error.status_code, error.api_message
            line = {"case": case, "mode": mode, "way": way, "status": status, "message": message}
            print(json.dumps(line))
