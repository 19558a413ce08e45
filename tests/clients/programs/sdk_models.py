"""inference-sdk: the calls about models and the server; prints JSON lines.

With a key; without one, where API_KEY is empty.
"""
# ruff: noqa: T201 - what it prints is what the test reads

import asyncio
import dataclasses
import json
import os
import sys
from collections.abc import Callable

from inference_sdk import InferenceConfiguration, InferenceHTTPClient
from inference_sdk.http.errors import HTTPCallErrorError

path, transport = sys.argv[1:]
model = os.environ["MODEL"]
client = InferenceHTTPClient(
    api_url=os.environ["SERVER"], api_key=os.environ["API_KEY"] or None
).configure(InferenceConfiguration(**({"api_key_transport": transport} if transport else {})))


def outcome(call: Callable[[], object]) -> object:
    try:
        answer = call()
    except HTTPCallErrorError as error:
        return {"status": error.status_code}
    models = getattr(answer, "models", None)
    if models is not None:
        return [dataclasses.asdict(description) for description in models]
    return dataclasses.asdict(answer) if dataclasses.is_dataclass(answer) else answer


def report(call: str, answer: object) -> None:
    print(json.dumps({"call": call, "answer": answer}))


report("get_server_info", outcome(client.get_server_info))
for suffix in ("", "_async"):
    for call, arguments in [
        ("load_model", (model,)),
        ("list_loaded_models", ()),
        ("get_model_description", (model,)),
        ("infer", (path, model)),
        ("unload_model", (model,)),
        ("load_model", (model,)),
        ("unload_all_models", ()),
    ]:
        method = getattr(client, call + suffix)
        if suffix:
            answer = outcome(lambda m=method, a=arguments: asyncio.run(m(*a)))
        else:
            answer = outcome(lambda m=method, a=arguments: m(*a))
        report(call + suffix, answer)
