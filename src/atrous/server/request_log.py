"""One log line and one id per request. Query strings are left out: they carry keys."""

import logging
import re
import time
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from atrous.server import log_lines
from atrous.server.metrics import Metrics

logger = logging.getLogger(__name__)
ID_PATTERN = re.compile(r"[A-Za-z0-9._:-]{1,100}")
MODEL_ID_PATTERN = re.compile(r"[A-Za-z0-9._/-]{1,200}")  # it is a client's text
MODEL_HEADER, TIME_HEADER = "X-Model-Id", "X-Processing-Time"  # the latter in seconds
QUIET_PATHS = ("/healthz", "/readiness", "/metrics")


class RequestLog:
    """ASGI middleware around everything else."""

    def __init__(
        self, app: ASGIApp, metrics: Metrics, id_header: str, has_lines: bool = True
    ) -> None:
        """Wrap an app; `id_header` carries the id, both ways. Without lines it counts alone."""
        self._app = app
        self._metrics = metrics
        self._id_header = id_header
        self._has_lines = has_lines

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; log and count the answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        sent_id = Headers(scope=scope).get(self._id_header, "")
        request_id = sent_id if ID_PATTERN.fullmatch(sent_id) else uuid.uuid4().hex
        log_lines.request_id.set(request_id)
        start = time.perf_counter()
        status = 500

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers[self._id_header] = request_id
                if status < 400:  # of a model that is there: other ids may be anything
                    self._tell_of_model(headers, scope, time.perf_counter() - start)
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        finally:
            seconds = time.perf_counter() - start
            self._metrics.count_request(scope["method"], status, seconds)
            if self._has_lines:
                _write_line(scope, status, seconds)

    def _tell_of_model(self, headers: MutableHeaders, scope: Scope, seconds: float) -> None:
        """Answer as other servers do where a model was asked: `inference-sdk` collects these."""
        model_id = scope.get("state", {}).get("model_id")
        if isinstance(model_id, str) and MODEL_ID_PATTERN.fullmatch(model_id):
            headers[MODEL_HEADER] = model_id
            headers[TIME_HEADER] = f"{seconds:.6f}"


def _write_line(scope: Scope, status: int, seconds: float) -> None:
    quiet = status < 400 and scope["path"] in QUIET_PATHS
    # %r: a path may hold line breaks that would fake other lines
    logger.log(
        logging.DEBUG if quiet else logging.INFO,
        "%.20s %.200r %d %.1f ms",
        scope["method"],
        scope["path"],
        status,
        seconds * 1000,
        extra={
            log_lines.FIELDS: {
                "method": scope["method"][:20],
                "path": scope["path"][:200],
                "status": status,
                "seconds": round(seconds, 6),
            }
        },
    )
