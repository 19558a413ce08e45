"""Many small requests of every kind, and the memory of the server meanwhile."""

import base64
import http.client
import json
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
from serving.photos import draw_photo
from serving.process_memory import own_mib
from serving.server_process import HOST, SERVE, Published, Server

from atrous.domain.geometry import Size
from reliability_bars.memory_slope import Growth, Look, growth_of

CLIENTS = 4
LOOK_EVERY = 50  # requests
BACKBONE, CLASSES, SIDE = "lcnet_035", 3, 64
PHOTOS = (Size(48, 64), Size(96, 80), Size(120, 160))
RESET_AT_ONCE = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends RST
TIMEOUT_S = 60.0
QUIET = {"LOG_LEVEL": "WARNING"}  # a line per request would fill the disk, not memory


@dataclass(frozen=True)
class Request:
    """One request, and the statuses that are right answers to it."""

    name: str
    method: str
    path: str
    body: bytes = b""
    content_type: str = "application/x-www-form-urlencoded"
    statuses: tuple[int, ...] = (200,)
    has_key: bool = True


@dataclass(frozen=True)
class SoakResult:
    """What a soak showed."""

    growth: Growth
    requests: int
    per_second: float
    statuses: dict[str, int]
    failures: dict[str, int]  # answers of another status than the right one, by request
    looks: list[Look]


def soak(
    published: Published,
    log: Path,
    seconds: float,
    most: int,
    command: Sequence[str] = SERVE,
) -> SoakResult:
    """Start a server, send requests of every kind for a while or so many, and watch its memory."""
    with Server(published, log, command=command, settings=QUIET) as server:
        traffic = _Traffic(server, requests_of(published.model_id), published.key)
        start = time.perf_counter()
        traffic.run(start + seconds, most)
        took_s = time.perf_counter() - start
    return SoakResult(
        growth=growth_of(traffic.looks),
        requests=traffic.done,
        per_second=traffic.done / took_s,
        statuses=dict(traffic.statuses),
        failures=dict(traffic.failures),
        looks=traffic.looks,
    )


def requests_of(model_id: str) -> list[Request]:
    """The mix: photos in every shape in which clients send them, and what must be refused."""
    files = [_photo_bytes(size, extension) for size in PHOTOS for extension in (".jpg", ".png")]
    texts = [base64.b64encode(data) for data in files]
    images = [{"type": "base64", "value": text.decode()} for text in texts]
    json_body = {"model_id": model_id, "image": images[0]}
    several = {"model_id": model_id, "image": images[:2]}
    route, hosted = "/infer/semantic_segmentation", f"/{model_id}"
    as_json, raw = "application/json", "application/octet-stream"
    return [
        *(Request("base64", "POST", hosted, text) for text in texts),
        *(Request("bytes", "POST", hosted, data, raw) for data in files),
        Request("overlay", "POST", f"{hosted}?format=image", texts[0]),
        Request("json", "POST", route, json.dumps(json_body).encode(), as_json),
        Request("several", "POST", route, json.dumps(several).encode(), as_json),
        Request("cut photo", "POST", hosted, texts[0][: len(texts[0]) // 3], statuses=(400,)),
        Request("no photo", "POST", hosted, b"!" * 500, statuses=(400,)),
        Request("broken json", "POST", route, b'{"model_id": ', as_json, (400, 422)),
        Request("other model", "POST", "/nothing/1", texts[0], statuses=(404,)),
        Request("wrong key", "POST", hosted, texts[0], statuses=(401, 403, 429), has_key=False),
        Request("registry", "GET", "/model/registry"),
        Request("health", "GET", "/healthz", has_key=False),
        Request("metrics", "GET", "/metrics", has_key=False),
        Request("client that leaves", "POST", hosted, texts[0], statuses=()),
    ]


def _photo_bytes(size: Size, extension: str) -> bytes:
    encoded, data = cv2.imencode(extension, draw_photo(size))
    assert encoded
    return data.tobytes()


class _Traffic:
    """Some clients that send the mix until the end; counts what they got."""

    def __init__(self, server: Server, requests: Sequence[Request], key: str) -> None:
        self._server, self._requests = server, requests
        self._key = key
        self.done = 0
        self.statuses: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self.looks: list[Look] = []
        self._lock = threading.Lock()

    def run(self, end: float, most: int) -> None:
        threads = [
            threading.Thread(target=self._send, args=(end, most, index)) for index in range(CLIENTS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _send(self, end: float, most: int, index: int) -> None:
        connection = http.client.HTTPConnection(HOST, self._server.port, timeout=TIMEOUT_S)
        number = index * len(self._requests) // CLIENTS
        while time.perf_counter() < end and self.done < most:
            request = self._requests[number % len(self._requests)]
            number += 1
            status = self._ask(connection, request)
            self._count(request, status)
        connection.close()

    def _ask(self, connection: http.client.HTTPConnection, request: Request) -> int:
        """The status of the answer; 0 where the connection failed, or was meant to."""
        key = self._key if request.has_key else "wrong"
        headers = {"Authorization": f"Bearer {key}", "Content-Type": request.content_type}
        if not request.statuses:
            self._leave(request, headers)
            return 0
        try:
            connection.request(request.method, request.path, request.body, headers)
            response = connection.getresponse()
            response.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            return 0
        return response.status

    def _leave(self, request: Request, headers: dict[str, str]) -> None:
        """Send a whole request and reset the connection at once."""
        fields = {"Host": HOST, "Content-Length": str(len(request.body)), **headers}
        lines = [f"{request.method} {request.path} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in fields.items()]
        with socket.create_connection((HOST, self._server.port), TIMEOUT_S) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_ONCE)
            connection.sendall("\r\n".join([*lines, "", ""]).encode() + request.body)

    def _count(self, request: Request, status: int) -> None:
        with self._lock:
            self.done += 1
            self.statuses[str(status or "left")] += 1
            if request.statuses and status not in request.statuses:
                self.failures[f"{request.name}: {status}"] += 1
            is_due = self.done % LOOK_EVERY == 0
            memory = own_mib(self._server.pid) if is_due else None
            if memory is not None:
                self.looks.append(Look(self.done, memory))
