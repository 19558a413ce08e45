"""inference-sdk: the calls about models and the server; prints one JSON object."""
# ruff: noqa: T201 - what it prints is what the test reads

import dataclasses
import json
import os

from inference_sdk import InferenceConfiguration, InferenceHTTPClient

client = InferenceHTTPClient(api_url=os.environ["SERVER"], api_key=os.environ["API_KEY"])
# `unload` sends no key in its body or query: only this makes the client send one.
client.configure(InferenceConfiguration(api_key_transport="both"))
model = os.environ["MODEL"]


def names(models: object) -> list:
    return [dataclasses.asdict(model) for model in models.models]


print(
    json.dumps(
        {
            "info": dataclasses.asdict(client.get_server_info()),
            "load": names(client.load_model(model)),
            "list": names(client.list_loaded_models()),
            "description": dataclasses.asdict(client.get_model_description(model)),
            "unload": names(client.unload_model(model)),
            "unload_all": names(client.unload_all_models()),
        }
    )
)
