"""Names that users of the peer's server set, and that this one does not follow: why not."""

import logging
import os
from collections.abc import Mapping

logger = logging.getLogger(__name__)

# docs/serving.md has the same list.
NOT_FOLLOWED = {
    "ALLOW_API_KEY_FROM_HEADERS": "a key in the Authorization header is always read",
    "ALLOW_LOADING_IMAGES_FROM_LOCAL_FILESYSTEM": "files of the server are never read for a client",
    "ALLOW_NUMPY_INPUT": "nothing that a client sends is ever unpickled",
    "API_KEY": "clients' keys are made by `atrous keys create`, and the server itself needs none",
    "API_LOGGING_ENABLED": "every request is logged; LOG_FORMAT and LOG_LEVEL say how",
    "CONFIDENCE_LOWER_BOUND_OOM_PREVENTION": "it is 0.01 for good: masks are as large at any",
    "CORE_MODELS_ENABLED": "a SAM 2 model is served once it was added",
    "CORE_MODEL_SAM2_ENABLED": "a SAM 2 model is served once it was added",
    "DEVICE": "ENGINE chooses what runs networks, and where",
    "DISABLE_SAM2_LOGITS_CACHE": "SAM2_MAX_LOGITS_CACHE_SIZE=0 does that",
    "METRICS_ENABLED": "nothing is reported to anybody, and GET /metrics always answers",
    "MODEL_LOCK_ACQUIRE_TIMEOUT": "no request waits for a lock; REQUEST_TIMEOUT_S bounds its time",
    "NUM_WORKERS": "one process serves all; HTTP_API_THREADPOOL_WORKERS is what runs at once",
    "OFFLINE_MODE": "the server is always offline, but for pictures by URL (ALLOW_URL_INPUT)",
    "ONNXRUNTIME_EXECUTION_PROVIDERS": "ENGINE chooses what runs networks, and where",
    "ROBOFLOW_API_KEY": "the server asks Roboflow for nothing",
    "SAM2_MAX_EMBEDDING_CACHE_SIZE": "SAM2_EMBEDDING_MEMORY_BYTES bounds it in bytes",
    "USE_INFERENCE_MODELS": "there is one implementation; ENGINE chooses what runs networks",
    "VALIDATE_IMAGE_URL_REDIRECTS": "every redirect is checked, always",
    "WORKSPACES_WHITELISTED_FOR_LOCAL_DEPLOYMENT": "keys decide who may call",
}


def warn_of_peer_settings(environment: Mapping[str, str] = os.environ) -> None:
    """Say in the log which variables that are set do nothing here. Values may be secret."""
    for name, reason in NOT_FOLLOWED.items():
        if environment.get(name):
            logger.warning("%s does nothing here: %s", name, reason)
