"""inference-sdk, a new and an old release: refusals as its users see them, and its retries."""

import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

MAX_BODY_BYTES = 2_000_000  # as in conftest
MODEL = "colours/1"
MODES = ("default", "v0")
WAYS = ("infer", "infer_async")
REFUSALS = {  # case: status, and words of the message, which the asynchronous calls do not keep
    "broken picture": (400, "Could not load input image"),
    "wrong key": (403, "User is not authorized to access this resource"),
    "unknown model": (404, "Requested Roboflow resource not found"),
    "body over the limit": (413, str(MAX_BODY_BYTES)),
    "wrong parameter": (422, "disable_preproc_contrast"),
}


@pytest.fixture(scope="session")
def refusals(sdk, run_program, picture) -> dict[tuple[str, str, str], dict]:
    output = run_program(sdk.python, "sdk_errors.py", str(picture), str(MAX_BODY_BYTES))
    lines = map(json.loads, output.splitlines())
    return {(line["case"], line["mode"], line["way"]): line for line in lines}


@pytest.mark.parametrize("case", REFUSALS)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("mode", MODES)
def test_refusals(refusals, sdk, tells, case, mode, way) -> None:
    status, words = REFUSALS[case]
    tells("inference-sdk", sdk.version, f"{way}, {mode} mode: {case} is {status}")
    line = refusals[case, mode, way]
    assert line["status"] == status
    # The old client throws away the body of what /model/* refuses, and asynchronous ones all.
    if way == "infer" and line["message"] != "N/A":
        assert words in line["message"]
    if way == "infer" and case in ("broken picture", "unknown model"):
        assert words in line["message"]


@dataclass
class SlowPicture:
    """A picture by URL that arrives when it is let go: whoever asked for it waits so long."""

    path: Path
    url: str = ""
    asked_for: threading.Event = field(default_factory=threading.Event)
    let_go: threading.Event = field(default_factory=threading.Event)


@pytest.fixture
def slow_picture(picture) -> Iterator[SlowPicture]:
    slow = SlowPicture(picture)

    class Slow(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            slow.asked_for.set()
            picture, sent = slow.path.read_bytes(), 0
            while not slow.let_go.wait(1):  # the server waits ten seconds for a piece, no longer
                self.wfile.write(picture[sent : sent + 1])
                sent += 1
            self.wfile.write(picture[sent:])

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Slow) as web:
        thread = threading.Thread(target=web.serve_forever)
        thread.start()
        slow.url = f"http://127.0.0.1:{web.server_address[1]}/slow.png"
        yield slow
        slow.let_go.set()
        web.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def small_server(start, open_urls, tmp_path_factory) -> Iterator:
    """A server that takes one request at a time, and lets none wait."""
    one = {"HTTP_API_THREADPOOL_WORKERS": "1", "MAX_WAITING_REQUESTS": "0"}
    log = tmp_path_factory.mktemp("small server") / "log"
    with start(log, REQUEST_TIMEOUT_S="300", **one, **open_urls) as server:
        yield server


@dataclass
class Log:
    """What a server logs during a test."""

    path: Path
    start: int = 0

    def count(self, status: int) -> int:
        """How often the server answered so."""
        return self.path.read_text()[self.start :].count(f" {status} ")


@pytest.fixture
def small_log(small_server) -> Log:
    return Log(small_server.log, len(small_server.log.read_text()))


@pytest.fixture
def occupy(slow_picture) -> Iterator:
    """Send a request that takes a server's only place until the slow picture is let go."""
    statuses: list[int] = []
    threads: list[threading.Thread] = []

    def start_one(server) -> list[int]:
        def post() -> None:
            url = f"{server.url}/{MODEL}?api_key={server.key}&image={slow_picture.url}"
            with urllib.request.urlopen(urllib.request.Request(url, b""), timeout=300) as answer:
                statuses.append(answer.status)

        threads.append(threading.Thread(target=post))
        threads[-1].start()
        assert slow_picture.asked_for.wait(300)
        return statuses

    yield start_one
    slow_picture.let_go.set()
    for thread in threads:
        thread.join()


def retry_after(server, picture: Path) -> tuple[int, str | None]:
    """Status and header of a refusal, asked for without any client."""
    url = f"{server.url}/{MODEL}?api_key={server.key}"
    request = urllib.request.Request(url, picture.read_bytes())
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=300)
    with caught.value as refusal:
        return refusal.code, refusal.headers["Retry-After"]


# What both releases do when the third try of an asynchronous call is refused as well.
FAULTS = {"infer": "", "infer_async": "the client tries three times, then fails with a KeyError"}


def check_end(line: dict, way: str, status: int) -> None:
    if way == "infer":
        assert line["status"] == status
    else:
        assert line["message"] == "KeyError('request_data')"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("mode", MODES)
def test_a_full_queue_is_429_after_three_tries(
    sdk, run_program, small_server, small_log, occupy, picture, tells, mode, way
) -> None:
    call = f"{way}, {mode} mode: full queue is 429 after three tries"
    tells("inference-sdk", sdk.version, call, FAULTS[way])
    occupy(small_server)
    line = run_program(sdk.python, "sdk_retries.py", str(picture), mode, way, at=small_server)
    check_end(json.loads(line), way, 429)
    assert small_log.count(429) == 3
    assert retry_after(small_server, picture) == (429, "1")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("mode", MODES)
def test_a_retry_succeeds_when_the_queue_has_room(
    sdk,
    run_program,
    small_server,
    small_log,
    occupy,
    slow_picture,
    picture,
    check,
    tells,
    mode,
    way,
) -> None:
    tells("inference-sdk", sdk.version, f"{way}, {mode} mode: 429 is tried again and succeeds")
    occupied = occupy(small_server)

    def let_go_after_refusal() -> None:
        while small_log.count(429) == 0:
            time.sleep(0.01)
        slow_picture.let_go.set()

    thread = threading.Thread(target=let_go_after_refusal)
    thread.start()
    line = run_program(sdk.python, "sdk_retries.py", str(picture), mode, way, at=small_server)
    thread.join()
    found = json.loads(line)
    assert found["status"] == 200
    # the old asynchronous client re-encodes what it reads from a path
    if not (sdk.is_old and way == "infer_async"):
        check(found["answer"], picture)
    assert 1 <= small_log.count(429) <= 2
    assert occupied == [200]


@pytest.mark.parametrize("way", WAYS)
def test_a_draining_server_is_503_after_three_tries(
    sdk, run_program, start, open_urls, occupy, slow_picture, picture, tells, tmp_path, way
) -> None:
    call = f"{way}, v0 mode: draining is 503 after three tries"
    tells("inference-sdk", sdk.version, call, FAULTS[way])
    with start(tmp_path / "log", DRAIN_TIMEOUT_S="300", **open_urls) as server:
        occupied = occupy(server)
        server.process.terminate()
        while "draining" not in server.log.read_text():
            time.sleep(0.01)
        line = run_program(sdk.python, "sdk_retries.py", str(picture), "v0", way, at=server)
        check_end(json.loads(line), way, 503)
        assert Log(server.log).count(503) == 3
        assert retry_after(server, picture) == (503, "1")
        slow_picture.let_go.set()
        assert server.process.wait(300) == 0
    assert occupied == [200]  # what was accepted is answered
