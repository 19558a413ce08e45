"""Prometheus metrics of one server."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
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
        counter = partial(Counter, registry=self._registry)
        gauge = partial(Gauge, registry=self._registry)
        histogram = partial(Histogram, registry=self._registry, buckets=SECONDS)
        self._requests = counter("atrous_requests", "Requests answered", ["method", "status"])
        self._request_seconds = histogram("atrous_request_seconds", "Whole requests")
        self.stage_seconds = histogram("atrous_stage_seconds", "Steps of an inference", ["stage"])
        self.queue_depth = gauge("atrous_queue_depth", "Inferences running or waiting")
        self.refused = counter("atrous_refused", "Requests refused, too much waiting")
        self.waiting_bytes = gauge("atrous_waiting_bytes", "Bytes of requests not answered yet")
        self.loaded_models = gauge("atrous_loaded_models", "Networks in memory")
        self.model_bytes = gauge("atrous_model_bytes", "Memory of these networks, as estimated")
        self.model_requests = counter(
            "atrous_model_requests",
            "Requests for a network: hit, in memory already; miss, to be loaded",
            ["cache"],
        )
        self.sam2_embeddings = counter(
            "atrous_sam2_embeddings",
            "Requests for a photo's embedding: memory or disk, found there; miss, to be computed; "
            "absent, named by an id that is not known",
            ["cache"],
        )
        self.sam2_embedding_bytes = gauge(
            "atrous_sam2_embedding_bytes", "Embeddings kept, in memory and on the disk", ["tier"]
        )
        self.sam2_logits = counter(
            "atrous_sam2_logits",
            "Prompts that wanted to start from an earlier mask: hit, there was one; miss, none",
            ["cache"],
        )
        self.sam2_logits_entries = gauge(
            "atrous_sam2_logits_entries", "Masks kept for such prompts"
        )
        self.wrong_keys = counter("atrous_wrong_keys", "Requests with a key that is not active")

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
