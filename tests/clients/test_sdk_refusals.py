"""inference-sdk, a new and an old release: refusals as its users see them, and its retries."""

import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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


@pytest.fixture
def slow_picture(picture, conftest) -> Iterator:
    with conftest.load_beside("slow_pictures").slow_picture(picture) as slow:
        yield slow


@pytest.fixture(scope="session")
def small_server(start, open_urls, tmp_path_factory) -> Iterator:
    """A server that takes one request at a time, and lets none wait."""
    one = {"HTTP_API_THREADPOOL_WORKERS": "1", "MAX_WAITING_REQUESTS": "0"}
    log = tmp_path_factory.mktemp("small server") / "log"
    with start(log, REQUEST_TIMEOUT_S="300", **one, **open_urls) as server:
        yield server


@dataclass
class Log:
    """What a server logs during a test; a line comes a moment after the answer it is about."""

    path: Path
    start: int = 0

    def count(self, status: int) -> int:
        """How often the server answered so."""
        return self.path.read_text()[self.start :].count(f" {status} ")

    def wait_for(self, status: int, count: int) -> None:
        """Until it has answered so often; more often is a failure."""
        while self.count(status) < count:
            time.sleep(0.01)
        assert self.count(status) == count


@pytest.fixture
def small_log(small_server) -> Log:
    return Log(small_server.log, len(small_server.log.read_text()))


@dataclass
class Occupant:
    """A request that takes a server's only place until the slow picture is let go."""

    slow_picture: Any
    statuses: list[int] = field(default_factory=list)
    threads: list[threading.Thread] = field(default_factory=list)

    def enter(self, server) -> None:
        """Send it, and wait until it has the place."""
        url = f"{server.url}/{MODEL}?api_key={server.key}&image={self.slow_picture.url}"

        def post() -> None:
            with urllib.request.urlopen(urllib.request.Request(url, b""), timeout=300) as answer:
                self.statuses.append(answer.status)

        self.threads.append(threading.Thread(target=post))
        self.threads[-1].start()
        assert self.slow_picture.asked_for.wait(300)

    def leave(self) -> list[int]:
        """Let it go; gives the status of its answer."""
        self.slow_picture.let_go.set()
        for thread in self.threads:
            thread.join()
        return self.statuses


@pytest.fixture
def occupant(slow_picture) -> Iterator[Occupant]:
    made = Occupant(slow_picture)
    yield made
    made.leave()


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
    sdk, run_program, small_server, small_log, occupant, picture, tells, mode, way
) -> None:
    call = f"{way}, {mode} mode: full queue is 429 after three tries"
    tells("inference-sdk", sdk.version, call, FAULTS[way])
    occupant.enter(small_server)
    line = run_program(sdk.python, "sdk_retries.py", str(picture), mode, way, at=small_server)
    check_end(json.loads(line), way, 429)
    small_log.wait_for(429, 3)
    assert retry_after(small_server, picture) == (429, "1")
    small_log.wait_for(429, 4)  # so that the next test does not count it


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("mode", MODES)
def test_a_retry_succeeds_when_the_queue_has_room(
    sdk, run_program, small_server, small_log, occupant, picture, check, tells, tmp_path, mode, way
) -> None:
    tells("inference-sdk", sdk.version, f"{way}, {mode} mode: 429 is tried again and succeeds")
    occupant.enter(small_server)
    left, room = [], tmp_path / "room"

    def make_room_after_refusal() -> None:
        small_log.wait_for(429, 1)
        left.extend(occupant.leave())
        room.touch()

    thread = threading.Thread(target=make_room_after_refusal)
    thread.start()
    program = "sdk_retries.py"
    line = run_program(
        sdk.python, program, str(picture), mode, way, at=small_server, ROOM=str(room)
    )
    thread.join()
    found = json.loads(line)
    assert found["status"] == 200
    # the old asynchronous client re-encodes what it reads from a path
    if not (sdk.is_old and way == "infer_async"):
        check(found["answer"], picture)
    assert small_log.count(429) == 1
    assert left == [200]


@pytest.mark.parametrize("way", WAYS)
def test_a_draining_server_is_503_after_three_tries(
    sdk, run_program, start, open_urls, occupant, picture, tells, tmp_path, way
) -> None:
    call = f"{way}, v0 mode: draining is 503 after three tries"
    tells("inference-sdk", sdk.version, call, FAULTS[way])
    with start(tmp_path / "log", DRAIN_TIMEOUT_S="300", **open_urls) as server:
        occupant.enter(server)
        server.process.terminate()
        while "draining" not in server.log.read_text():
            time.sleep(0.01)
        line = run_program(sdk.python, "sdk_retries.py", str(picture), "v0", way, at=server)
        check_end(json.loads(line), way, 503)
        Log(server.log).wait_for(503, 3)
        assert retry_after(server, picture) == (503, "1")
        assert occupant.leave() == [200]  # what was accepted is answered
        assert server.process.wait(300) == 0
