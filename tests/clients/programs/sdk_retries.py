"""inference-sdk: one call while the server can't take it; prints its end as JSON.

Between two tries the client waits for a random part of a second. Where ROOM names a file, it waits
until that is there instead: the server has room again then.
"""
# ruff: noqa: T201 - what it prints is what the test reads

import asyncio
import json
import os
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import backoff
from inference_sdk import InferenceHTTPClient
from inference_sdk.http.errors import HTTPCallErrorError

path, mode, way = sys.argv[1:]


def wait_for_room(_: float) -> None:
    while not Path(os.environ["ROOM"]).exists():
        time.sleep(0.02)


async def wait_for_room_async(_: float) -> None:
    wait_for_room(0)


if "ROOM" in os.environ:
    backoff._sync.time = SimpleNamespace(**{**vars(time), "sleep": wait_for_room})
    backoff._async.asyncio = SimpleNamespace(**{**vars(asyncio), "sleep": wait_for_room_async})
client = InferenceHTTPClient(api_url=os.environ["SERVER"], api_key=os.environ["API_KEY"])
if mode == "v0":
    client.select_api_v0()
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
