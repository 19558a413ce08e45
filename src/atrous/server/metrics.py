"""Prometheus metrics of one server."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

Stage = Literal[
    "fetch",
    "decode",
    "preprocess",
    "network",
    "postprocess",
    "encode",
    "sam2_embed",
    "sam2_prompt",
    "sam2_search",
]
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """Counts and times. No label holds a model's name or anything else that a client sent."""

    def __init__(
        self, stage_span: Callable[[Stage], AbstractContextManager[None]] = lambda _: nullcontext()
    ) -> None:
        """Start at zero, in a registry of its own; `stage_span` traces the stages as well."""
        self._stage_span = stage_span
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "atrous_requests", "Requests answered", ["method", "status"], registry=self._registry
        )
        self._request_seconds = Histogram(
            "atrous_request_seconds", "Whole requests", buckets=SECONDS, registry=self._registry
        )
        self.stage_seconds = Histogram(
            "atrous_stage_seconds",
            "Steps of an inference",
            ["stage"],
            buckets=SECONDS,
            registry=self._registry,
        )
        self.queue_depth = Gauge(
            "atrous_queue_depth", "Inferences running or waiting", registry=self._registry
        )
        self.refused = Counter(
            "atrous_refused", "Requests refused, too much waiting", registry=self._registry
        )
        self.waiting_bytes = Gauge(
            "atrous_waiting_bytes", "Bytes of requests not answered yet", registry=self._registry
        )
        self.loaded_models = Gauge(
            "atrous_loaded_models", "Networks in memory", registry=self._registry
        )
        self.model_bytes = Gauge(
            "atrous_model_bytes", "Memory of these networks, as estimated", registry=self._registry
        )
        self.model_requests = Counter(
            "atrous_model_requests",
            "Requests for a network: hit, in memory already; miss, to be loaded",
            ["cache"],
            registry=self._registry,
        )
        self.sam2_embeddings = Counter(
            "atrous_sam2_embeddings",
            "Requests for a photo's embedding: memory or disk, found there; miss, to be computed; "
            "absent, named by an id that is not known",
            ["cache"],
            registry=self._registry,
        )
        self.sam2_embedding_bytes = Gauge(
            "atrous_sam2_embedding_bytes",
            "Embeddings kept, in memory and on the disk",
            ["tier"],
            registry=self._registry,
        )
        self.wrong_keys = Counter(
            "atrous_wrong_keys", "Requests with a key that is not active", registry=self._registry
        )

    def count_request(self, method: str, status: int, seconds: float) -> None:
        """Add one request; methods that HTTP does not know are counted as one."""
        known = method if method in METHODS else "other"
        self._requests.labels(known, str(status)).inc()
        self._request_seconds.observe(seconds)

    @contextmanager
    def timed(self, stage: Stage) -> Iterator[None]:
        """Add the time of the block to a stage, and to the trace, also when it fails."""
        start = time.perf_counter()
        try:
            with self._stage_span(stage):
                yield
        finally:
            self.stage_seconds.labels(stage).observe(time.perf_counter() - start)

    def as_text(self) -> bytes:
        """Give the text format that Prometheus reads."""
        return generate_latest(self._registry)
