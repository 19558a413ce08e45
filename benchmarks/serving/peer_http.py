"""The peer's HTTP server, in its own Python: python peer_http.py PORT, where its models lie.

Its wheel has no command that starts it; this is what the entry point of its CPU image does, with
one worker process.
"""

import sys

import uvicorn
from inference.core.interfaces.http.http_api import HttpInterface
from inference.core.managers.base import ModelManager
from inference.core.managers.decorators.fixed_size_cache import WithFixedSizeCache
from inference.core.registries.roboflow import RoboflowModelRegistry
from inference.models.utils import ROBOFLOW_MODEL_TYPES

MOST_MODELS = 8  # its default

if __name__ == "__main__":
    manager = ModelManager(model_registry=RoboflowModelRegistry(ROBOFLOW_MODEL_TYPES))
    app = HttpInterface(WithFixedSizeCache(manager, max_size=MOST_MODELS)).app
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
