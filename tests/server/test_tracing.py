"""Spans as a collector gets them: one of our own, on loopback, that reads OTLP's protobuf."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import anyio
import pytest
from starlette.datastructures import Headers

import atrous
from atrous.domain.errors import BadInput, MissingDependency
from atrous.server.settings import ServerSettings
from atrous.server.tracing import RequestSpans, Traces, open_traces

pytest.importorskip(
    "opentelemetry.exporter.otlp.proto.http",
    reason="OpenTelemetry is not installed: pip install 'atrous[telemetry]'",
)

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
)
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import (
    InMemorySpanExporter,
)

STAGES = ["decode", "preprocess", "network", "postprocess", "encode"]
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Collector:
    """Keeps what is posted to /v1/traces."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                assert self.headers["Content-Type"] == "application/x-protobuf"
                if self.path == "/v1/traces":
                    collector.bodies.append(body)
                self.send_response(200 if self.path == "/v1/traces" else 404)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever).start()

    def resources(self) -> list:
        requests = [ExportTraceServiceRequest.FromString(body) for body in self.bodies]
        return [resource for request in requests for resource in request.resource_spans]

    def spans(self) -> list:
        """All spans, in the order in which they began."""
        found = [
            span
            for resource in self.resources()
            for scope in resource.scope_spans
            for span in scope.spans
        ]
        return sorted(found, key=lambda span: span.start_time_unix_nano)


@pytest.fixture
def collector() -> Iterator[Collector]:
    started = Collector()
    yield started
    started.server.shutdown()
    started.server.server_close()


@pytest.fixture
def traced(start, collector):
    client = start(otel_exporter_otlp_endpoint=collector.url + "/")
    yield client
    client.app.state.services.traces.close()


def facts(attributes) -> dict[str, object]:
    return {a.key: getattr(a.value, a.value.WhichOneof("value")) for a in attributes}


def test_a_request_is_a_span_with_a_child_for_each_stage(traced, collector, key, png) -> None:
    headers = {"traceparent": f"00-{TRACE}-{PARENT}-01", "X-Request-ID": "mine-1"}
    params = {"api_key": key, "confidence": 40}
    answer = traced.post("/colours/1", params=params, content=png, headers=headers)
    assert answer.status_code == 200
    traced.app.state.services.traces.close()
    request, *children = collector.spans()
    assert request.name == "POST /{project}/{version}"
    assert request.kind == request.SPAN_KIND_SERVER
    assert facts(request.attributes) == {
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "http.route": "/{project}/{version}",
        "atrous.model_id": "colours/1",
        "atrous.request_id": "mine-1",
    }
    assert request.trace_id.hex() == TRACE
    assert request.parent_span_id.hex() == PARENT
    assert [child.name for child in children] == STAGES
    for child in children:
        assert child.trace_id == request.trace_id
        assert child.parent_span_id == request.span_id
        assert request.start_time_unix_nano <= child.start_time_unix_nano
        assert child.end_time_unix_nano <= request.end_time_unix_nano
    [resource] = collector.resources()
    assert facts(resource.resource.attributes)["service.name"] == "atrous"


def test_failures_are_told_without_their_texts(traced, collector, key, png) -> None:
    traced.post("/colours/1", params={"api_key": key}, content=png[:-20])
    traced.post("/colours/9", params={"api_key": key}, content=b"aGVsbG8=")
    traced.get("/nothing/of/this/kind/is/there")
    traced.app.state.services.traces.close()
    bad, decode, unknown, nothing = collector.spans()
    assert facts(bad.attributes)["http.response.status_code"] == 400
    assert (decode.name, facts(decode.attributes)) == ("decode", {"error.type": "BadImage"})
    assert facts(unknown.attributes)["http.response.status_code"] == 404
    assert facts(unknown.attributes)["atrous.model_id"] == "colours/9"
    assert (nothing.name, facts(nothing.attributes)["http.response.status_code"]) == ("GET", 404)
    assert not any(span.status.code or span.events for span in collector.spans())


def test_no_key_and_no_query_is_in_a_span(traced, collector, key, png) -> None:
    secret = "atr_" + "Sentinel" * 5
    url = "https://picture.example.invalid/secret-name.png"
    for wrong in (key, secret):
        params = {"api_key": wrong, "image": url}
        header = {"authorization": f"Bearer {wrong}"}
        traced.post("/colours/1", params=params)
        traced.post(f"/{wrong}/1", headers=header, content=png)
        traced.post(f"/colours/{wrong}", params={"api_key": key}, content=png)
        traced.get(f"/start/{wrong}/1", headers=header)
        body = {"api_key": wrong, "model_id": wrong, "image": {"type": "url", "value": url}}
        traced.post("/infer/semantic_segmentation", json=body)
        traced.request(f"METHOD{secret}", "/info", params=params)
    traced.app.state.services.traces.close()
    sent = b"".join(collector.bodies)
    assert sent.count(b"http.route") > 8
    for hidden in (key, secret, "api_key", "picture.example", "secret-name"):
        assert hidden.encode() not in sent
    assert b"[hidden]/1" in sent  # as a control: ids are there


def test_json_routes_are_traced_too(traced, collector, key) -> None:
    body = {"api_key": key, "model_id": "colours/1", "image": {"type": "url", "value": "http://a"}}
    assert traced.post("/infer/semantic_segmentation", json=body).status_code == 400
    traced.app.state.services.traces.close()
    request, fetch = collector.spans()
    assert request.name == "POST /infer/semantic_segmentation"
    assert (fetch.name, facts(fetch.attributes)) == ("fetch", {"error.type": "BadImage"})
    assert not request.parent_span_id  # nobody called on behalf of another


def test_without_an_endpoint_nothing_is_traced(client, key, png) -> None:
    services = client.app.state.services
    assert services.traces is None
    assert not any(m.cls is RequestSpans for m in client.app.user_middleware)
    assert (
        open_traces(
            ServerSettings(
                otel_traces_exporter="none", otel_exporter_otlp_endpoint="http://localhost:1"
            )
        )
        is None
    )


def test_a_server_without_an_endpoint_does_not_import_opentelemetry() -> None:
    code = (
        "import sys, atrous.server.app, atrous.server.tracing\n"
        "sys.exit('opentelemetry.sdk' in sys.modules)"
    )
    source = Path(atrous.__file__).parents[1]
    assert subprocess.run([sys.executable, "-c", code], cwd=source).returncode == 0


@pytest.mark.parametrize(
    "name", ["otel_exporter_otlp_endpoint", "otel_exporter_otlp_traces_endpoint"]
)
def test_without_opentelemetry_the_start_ends_with_the_remedy(monkeypatch, name) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(MissingDependency, match=r"pip install 'atrous\[telemetry\]'"):
        open_traces(ServerSettings(**{name: "http://localhost:4318"}))


def test_an_endpoint_is_a_url() -> None:
    with pytest.raises(BadInput, match="http://localhost:4318"):
        open_traces(ServerSettings(otel_exporter_otlp_endpoint="localhost:4317"))


def test_an_endpoint_for_traces_is_taken_as_it_is(collector) -> None:
    traces = open_traces(
        ServerSettings(
            otel_exporter_otlp_endpoint="http://127.0.0.1:1",
            otel_exporter_otlp_traces_endpoint=collector.url + "/v1/traces",
        )
    )
    assert traces is not None
    with traces.stage("decode"):
        pass
    traces.close()
    assert [span.name for span in collector.spans()] == ["decode"]


def test_the_service_has_the_name_that_the_environment_gives(monkeypatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "masks")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=tests")
    exporter = InMemorySpanExporter()
    traces = Traces(SimpleSpanProcessor(exporter))
    with traces.stage("decode"):
        pass
    attributes = exporter.get_finished_spans()[0].resource.attributes
    assert attributes["service.name"] == "masks"
    assert attributes["deployment.environment"] == "tests"
    assert attributes["service.version"]


def run(app, headers=()) -> tuple:
    """Give the spans of one request to an app, in memory."""
    exporter = InMemorySpanExporter()
    scope = {"type": "http", "method": "POST", "path": "/", "headers": list(headers)}

    async def nothing(*_: object) -> None:
        pass

    anyio.run(RequestSpans(app, Traces(SimpleSpanProcessor(exporter))), scope, nothing, nothing)
    return exporter.get_finished_spans()


def test_faults_of_the_server_are_marked() -> None:
    async def answer(scope, receive, send) -> None:
        await send({"type": "http.response.start", "status": 504, "headers": []})

    [span] = run(answer)
    assert not span.status.is_ok
    assert span.attributes["error.type"] == "504"
    assert span.attributes["http.response.status_code"] == 504


def test_an_app_that_fails_is_a_500() -> None:
    async def fail(scope, receive, send) -> None:
        raise ValueError("with api_key=secret")

    exporter = InMemorySpanExporter()
    spans = RequestSpans(fail, Traces(SimpleSpanProcessor(exporter)))
    with pytest.raises(ValueError, match="secret"):
        anyio.run(spans, {"type": "http", "method": "GET", "path": "/", "headers": []}, None, None)
    [span] = exporter.get_finished_spans()
    assert span.attributes["http.response.status_code"] == 500
    assert not span.events
    assert span.status.description is None


@pytest.mark.parametrize(
    "header", [b"", b"00-zz-yy-01", b"00-" + b"0" * 32 + b"-1-01", b"\xff" * 9]
)
def test_a_damaged_traceparent_begins_a_new_trace(header) -> None:
    async def answer(scope, receive, send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    [span] = run(answer, [(b"traceparent", header)])
    assert span.parent is None
    assert span.context.trace_id


def test_a_caller_that_is_not_sampled_is_not_traced() -> None:
    traces = Traces(SimpleSpanProcessor(exporter := InMemorySpanExporter()))
    with traces.request(Headers({"traceparent": f"00-{TRACE}-{PARENT}-00"})):
        pass
    assert not exporter.get_finished_spans()


def test_a_collector_that_hangs_holds_the_end_up_for_a_moment_only(monkeypatch) -> None:
    monkeypatch.setattr("atrous.server.tracing.LAST_SPANS_S", 0.2)
    may_end = threading.Event()

    class Hanging(InMemorySpanExporter):
        def shutdown(self) -> None:
            assert may_end.wait(300)

    traces = Traces(SimpleSpanProcessor(Hanging()))
    with traces.stage("decode"):
        pass
    traces.close()
    last_words = [each for each in threading.enumerate() if each.name == "last spans"]
    assert last_words  # it did not wait for them
    may_end.set()
    for each in last_words:
        each.join(300)
