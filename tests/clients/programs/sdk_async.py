"""inference-sdk: asynchronous calls, lists, and pictures made smaller; prints JSON lines."""
# ruff: noqa: T201 - what it prints is what the test reads

import asyncio
import json
import os
import sys

from inference_sdk import InferenceConfiguration, InferenceHTTPClient

path, url = sys.argv[1:]
model = os.environ["MODEL"]
for mode in ("default", "v0"):
    client = InferenceHTTPClient(api_url=os.environ["SERVER"], api_key=os.environ["API_KEY"])
    if mode == "v0":
        client.select_api_v0()
    client.configure(InferenceConfiguration(max_concurrent_requests=2, max_batch_size=2))
    answers = asyncio.run(client.infer_async([path, path, path], model_id=model))
    print(json.dumps({"mode": mode, "kind": "async list", "results": answers}))
    answer = asyncio.run(client.infer_async(url, model_id=model))
    print(json.dumps({"mode": mode, "kind": "async url", "results": [answer]}))
    client.configure(
        InferenceConfiguration(client_downsizing_disabled=False, default_max_input_size=40)
    )
    answer = client.infer(path, model_id=model)
    print(json.dumps({"mode": mode, "kind": "smaller", "results": [answer]}))
