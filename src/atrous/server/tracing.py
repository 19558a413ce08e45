"""OpenTelemetry traces: a span per request, below it one per stage of an inference.

Without an endpoint to send them to there is no `Traces` at all, and OpenTelemetry is not imported.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import atrous
from atrous.domain.errors import BadInput, MissingDependency
from atrous.server import log_lines
from atrous.server.metrics import METHODS, Stage
from atrous.server.settings import ServerSettings

MODEL_ID = "model_id"  # in `request.state`: the model that a request is for, as the client wrote it
TRACES_PATH = "/v1/traces"  # below an endpoint for all signals (OTLP specification)
LAST_SPANS_S = 5.0  # at the end, for spans that are not sent yet
# Texts of errors are left out: they may quote what a client sent.
QUIET: dict[str, Any] = {"record_exception": False, "set_status_on_exception": False}


def open_traces(settings: ServerSettings) -> "Traces | None":
    """Begin to send traces where the settings name an endpoint, else give None.

    Raises MissingDependency without OpenTelemetry, BadInput for an endpoint that is no URL.
    """
    endpoint = settings.otel_exporter_otlp_traces_endpoint
    if not endpoint and settings.otel_exporter_otlp_endpoint:
        endpoint = settings.otel_exporter_otlp_endpoint.rstrip("/") + TRACES_PATH
    if not endpoint or settings.otel_traces_exporter == "none":
        return None
    if not endpoint.startswith(("http://", "https://")):
        raise BadInput(
            f"traces can't be sent to {endpoint[:100]!r}; give OTEL_EXPORTER_OTLP_ENDPOINT a URL, "
            "as http://localhost:4318"
        )
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise MissingDependency(
            "OTEL_EXPORTER_OTLP_ENDPOINT asks for traces, which need OpenTelemetry "
            f"({error.name} is not installed); run: pip install 'atrous[telemetry]', or unset it"
        ) from error
    return Traces(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))


class Traces:
    """Where spans begin and where they go. One per app, which closes it.

    Spans are sent by a thread in the background; those that can't be sent are dropped.
    """

    def __init__(self, processor: Any) -> None:
        """Give all spans to an OpenTelemetry span processor."""
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.trace import SpanKind
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        named = Resource({"service.name": "atrous", "service.version": atrous.__version__})
        # OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES have the last word.
        resource = Resource.create().merge(named).merge(OTELResourceDetector().detect())
        # No global provider: an app traces itself alone, and two in one process don't mix.
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("atrous", atrous.__version__)
        self._propagator = TraceContextTextMapPropagator()
        self._server_kind = SpanKind.SERVER

    @contextmanager
    def request(self, headers: Headers) -> Iterator[Any]:
        """Give the span of a request: a child of the caller's (W3C traceparent), else a root."""
        caller = self._propagator.extract(
            {name: headers[name] for name in ("traceparent", "tracestate") if name in headers}
        )
        with self._tracer.start_as_current_span(
            "request", context=caller, kind=self._server_kind, **QUIET
        ) as span:
            yield span

    @contextmanager
    def stage(self, name: Stage) -> Iterator[None]:
        """Measure a stage of the request in work, also in a thread that works for it."""
        with self._tracer.start_as_current_span(name, **QUIET) as span:
            try:
                yield
            except BaseException as error:
                span.set_attribute("error.type", type(error).__name__)
                raise

    def close(self) -> None:
        """Send what is left, for a few seconds at most: the collector may be gone."""
        last_words = Thread(target=self._provider.shutdown, name="last spans", daemon=True)
        last_words.start()
        last_words.join(LAST_SPANS_S)


class RequestSpans:
    """ASGI middleware, inside `RequestLog`: a span around each request.

    It tells the route, never the path or the query: these may hold keys.
    """

    def __init__(self, app: ASGIApp, traces: Traces) -> None:
        """Wrap an app."""
        self._app = app
        self._traces = traces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; describe it when it is answered."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope.setdefault("state", {})  # routes note the model there
        status = 500

        async def send_and_note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        with self._traces.request(Headers(scope=scope)) as span:
            try:
                await self._app(scope, receive, send_and_note)
            finally:
                _describe(span, scope, status)


def _describe(span: Any, scope: Scope, status: int) -> None:
    """Name a request's span by OpenTelemetry's conventions for HTTP servers."""
    from opentelemetry.trace import StatusCode

    method = scope["method"] if scope["method"] in METHODS else "_OTHER"
    route = getattr(scope.get("route"), "path_format", "")  # without the shapes of its segments
    span.update_name(f"{method} {route}".rstrip())
    span.set_attribute("http.request.method", method)
    span.set_attribute("http.response.status_code", status)
    span.set_attribute("atrous.request_id", log_lines.request_id.get())
    if route:
        span.set_attribute("http.route", route)
    if MODEL_ID in scope["state"]:
        span.set_attribute("atrous.model_id", log_lines.redact(scope["state"][MODEL_ID][:200]))
    if status >= 500:
        span.set_status(StatusCode.ERROR)
        span.set_attribute("error.type", str(status))
