"""A picture by URL that arrives when it is let go: whoever asked for it waits so long."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass
class SlowPicture:
    """Where it is, and whether somebody waits for it."""

    path: Path
    url: str = ""
    asked_for: threading.Event = field(default_factory=threading.Event)
    let_go: threading.Event = field(default_factory=threading.Event)


@contextmanager
def slow_picture(picture: Path) -> Iterator[SlowPicture]:
    """Serve it on a port of its own."""
    slow = SlowPicture(picture)

    class Slow(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            slow.asked_for.set()
            content, sent = slow.path.read_bytes(), 0
            while not slow.let_go.wait(1):  # the server waits ten seconds for a piece, no longer
                self.wfile.write(content[sent : sent + 1])
                sent += 1
            self.wfile.write(content[sent:])

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Slow) as web:
        thread = threading.Thread(target=web.serve_forever)
        thread.start()
        slow.url = f"http://127.0.0.1:{web.server_address[1]}/slow.png"
        try:
            yield slow
        finally:
            slow.let_go.set()
            web.shutdown()
            thread.join()
