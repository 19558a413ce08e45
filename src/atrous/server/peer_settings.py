"""Names that users of the peer's server set, and that this one does not follow: why not."""

import logging
import os
from collections.abc import Mapping

logger = logging.getLogger(__name__)

# docs/serving.md has the same list.
NOT_FOLLOWED = {
    "ALLOW_LOADING_IMAGES_FROM_LOCAL_FILESYSTEM": "a client could read any file of the server; "
    "let it send the picture's bytes",
    "ALLOW_NUMPY_INPUT": "unpickling a body would run what is in it; let clients send base64",
    "API_KEY": "a request without a key would have this one's rights; make a key for each client "
    "with `atrous keys create`, or listen on a loopback address with `--no-auth`",
    "DEVICE": "ENGINE=openvino computes on the CPU, ENGINE=onnxruntime on a GPU where there is "
    "one, and on the CPU otherwise",
    "INFERENCE_MODELS_DEEP_LAB_V3_PLUS_DEFAULT_CONFIDENCE": "a model's own threshold is in its "
    "package, and 0.5 where it has none; let clients send `confidence`",
    "METRICS_ENABLED": "it is about reports to Roboflow, and nothing is reported to anybody; "
    "GET /metrics always answers",
    "MODEL_LOCK_ACQUIRE_TIMEOUT": "no request waits for a lock; REQUEST_TIMEOUT_S bounds its time",
    "NUM_WORKERS": "one process serves all, so that each network is in memory once; "
    "HTTP_API_THREADPOOL_WORKERS is how many requests run at once",
    "OFFLINE_MODE": "the server never needs the internet; ALLOW_URL_INPUT=false lets it fetch no "
    "pictures by URL either",
    "ONNXRUNTIME_EXECUTION_PROVIDERS": "ENGINE=onnxruntime takes TensorRT, CUDA or the CPU, the "
    "first that its package offers",
    "ROBOFLOW_API_KEY": "the server asks Roboflow for nothing, and a request without a key has no "
    "rights; make a key for each client with `atrous keys create`",
    "USE_INFERENCE_MODELS": "there is one implementation; it answers as the newer of the peer's",
    "VALIDATE_IMAGE_URL_REDIRECTS": "every redirect is checked, always; "
    "MAX_IMAGE_URL_REDIRECTS=0 follows none",
    "WORKSPACES_WHITELISTED_FOR_LOCAL_DEPLOYMENT": "a key opens its own workspace alone, and keys "
    "are made here; revoke those that may not call with `atrous keys revoke`",
}


def warn_of_peer_settings(environment: Mapping[str, str] = os.environ) -> None:
    """Say in the log which variables that are set do nothing here. Values may be secret."""
    for name, reason in NOT_FOLLOWED.items():
        if environment.get(name):
            logger.warning("%s does nothing here: %s", name, reason)
