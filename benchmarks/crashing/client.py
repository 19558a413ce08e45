"""HTTP to a server that may be dead: requests are sent again until they are answered."""

import threading
import time
from typing import Any

import httpx

RETRY_S = 0.1
LIMIT_S = 300.0
RETRIED = (429, 502, 503)


class Stopped(Exception):
    """The run is over."""


class Unanswered(Exception):
    """The server answered with an error that no crash explains."""


class Client:
    """Sends requests for one thread."""

    def __init__(self, url: str, key: str, stopping: threading.Event) -> None:
        """Ask the server at `url` until `stopping` is set."""
        self._http = httpx.Client(base_url=url, params={"api_key": key}, trust_env=False)
        self._stopping = stopping

    def send(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Give the answer, a good one; Unanswered for an error, Stopped at the end."""
        give_up = time.monotonic() + LIMIT_S
        while time.monotonic() < give_up:
            if self._stopping.is_set():
                raise Stopped
            try:
                answer = self._http.request(method, path, timeout=30.0, **options)
            except httpx.TransportError:
                time.sleep(RETRY_S)
                continue
            if answer.status_code in RETRIED:
                time.sleep(RETRY_S)
                continue
            if answer.is_success:
                return answer
            raise Unanswered(f"{method} {path}: {answer.status_code} {answer.text[:300]}")
        raise Unanswered(f"{method} {path}: no answer within {LIMIT_S} s")

    def get(self, path: str) -> dict[str, Any]:
        """GET some JSON."""
        read: dict[str, Any] = self.send("GET", path).json()
        return read

    def close(self) -> None:
        """Close the connection."""
        self._http.close()
