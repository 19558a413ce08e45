"""inference-sdk: one call while the server can't take it; prints its end as JSON."""
# ruff: noqa: T201 - what it prints is what the test reads

import asyncio
import json
import os
import random
import sys

from inference_sdk import InferenceHTTPClient
from inference_sdk.http.errors import HTTPCallErrorError

path, mode, way = sys.argv[1:]
client = InferenceHTTPClient(api_url=os.environ["SERVER"], api_key=os.environ["API_KEY"])
if mode == "v0":
    client.select_api_v0()
random.seed(23)  # the client waits a random part of a second: this gives two long ones
try:
    if way == "infer":
        answer = client.infer(path, model_id=os.environ["MODEL"])
    else:
        answer = asyncio.run(client.infer_async(path, model_id=os.environ["MODEL"]))
    print(json.dumps({"status": 200, "answer": answer}))
except HTTPCallErrorError as error:
    print(json.dumps({"status": error.status_code, "message": error.api_message}))
except KeyError as error:  # a fault of the asynchronous client: it looks up what it never stored
    print(json.dumps({"status": None, "message": repr(error)}))
