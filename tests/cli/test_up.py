import importlib.util
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest

from atrous.cli import up
from atrous.cli.own_key import ensure_key
from atrous.cli.up import Companion, greeting, line_about
from atrous.server.settings import ServerSettings
from atrous.store import Store, open_store
from atrous.store.jobs import Job

ROOT = Path(__file__).parents[2]
WRITE_PACKAGE = ROOT / "tests" / "server" / "colour_package.py"


@pytest.fixture
def store(home: Path) -> Iterator[Store]:
    with open_store(home) as opened:
        yield opened


def publish(store: Store, tmp_path: Path) -> None:
    """Publish a model as colours/1."""
    spec = importlib.util.spec_from_file_location("colour_package", WRITE_PACKAGE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    package = module.write_colour_package(tmp_path / "package")
    store.models.publish("colours", package, workspace_id=store.workspaces.default().id)


def job(**values: object) -> Job:
    plain: dict[str, object] = {
        **{"id": "j", "workspace_id": "w", "kind": "train", "state": "running"},
        **{"payload": {"project": "cats"}, "progress": {}, "result": {}, "error": None},
        **{"worker": None, "attempts": 1, "created_at": 0.0},
        **{"started_at": None, "heartbeat_at": None, "finished_at": None},
    }
    return Job(**{**plain, **values})


TRAINING = {"epoch": 3, "fraction": 0.25, "loss": 0.5, "left_s": 90.0, "stage": "training"}


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"state": "queued"}, ""),
        ({"progress": {}}, "[cats] begins"),
        ({"progress": {"stage": "reading the pictures"}}, "[cats] reading the pictures"),
        ({"kind": "demo", "payload": {}}, "[demo] begins"),
        (
            {"progress": TRAINING},
            "[cats] training [#####               ]  25%  epoch 3, loss 0.500, 1m30s left",
        ),
        (
            {"progress": {**TRAINING, "miou": 0.75, "left_s": None, "fraction": 1.0}},
            f"[cats] training [{'#' * 20}] 100%  epoch 3, loss 0.500, mIoU 0.750, ? left",
        ),
        (
            {"state": "finished", "result": {"model_id": "cats/2", "miou": 0.9}},
            "[cats] published as cats/2, mIoU 0.900",
        ),
        # Taken up by another worker when all was trained, so that no epoch was seen.
        (
            {"state": "finished", "result": {"model_id": "cats/2", "miou": None}},
            "[cats] published as cats/2",
        ),
        # Other kinds of jobs, which know no epochs and make no model.
        ({"kind": "export", "progress": {"fraction": 0.4}}, "[cats] export: 40%"),
        ({"kind": "export", "state": "finished", "result": {"size": 3}}, "[cats] export: done"),
        ({"state": "failed", "error": "the loss became nan"}, "[cats] failed: the loss became nan"),
        ({"state": "cancelled"}, "[cats] cancelled"),
    ],
)
def test_a_line_about_a_job(values: dict[str, object], line: str) -> None:
    assert line_about(job(**values)) == line


def told(companion: Companion, capsys: pytest.CaptureFixture[str], seen: Job) -> str:
    companion._tell(seen)
    return capsys.readouterr().out


def test_what_is_said_of_a_job_and_when(
    store: Store, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    companion = Companion(ServerSettings(), store, Path("key"), training=False)
    running = job(progress=TRAINING)
    assert "epoch 3" in told(companion, capsys, running)
    now[0] += 1
    assert told(companion, capsys, running) == ""
    assert "epoch 4" in told(companion, capsys, job(progress={**TRAINING, "epoch": 4}))
    now[0] += 11
    assert "epoch 4" in told(companion, capsys, job(progress={**TRAINING, "epoch": 4}))
    done = job(state="finished", result={"model_id": "cats/1", "miou": 0.5})
    assert "published as cats/1" in told(companion, capsys, done)
    assert companion._said == {}


def test_only_jobs_in_hand_are_looked_at(store: Store) -> None:
    """Those that were settled before, or were said to be, are not read again and again."""
    workspace = store.workspaces.default().id
    old, running, queued = (
        store.jobs.enqueue("train", {"project": name}, workspace_id=workspace).id
        for name in ("old", "running", "queued")
    )
    store.jobs.claim("worker")
    store.jobs.finish(old, "worker")
    store.jobs.claim("worker")
    companion = Companion(ServerSettings(), store, Path("key"), training=False)
    assert {job.id for job in companion._jobs_in_hand()} == {running, queued}
    for seen in companion._jobs_in_hand():
        companion._tell(seen)
    store.jobs.finish(running, "worker", {"model_id": "cats/1"})
    assert {job.id for job in companion._jobs_in_hand()} == {running, queued}
    for seen in companion._jobs_in_hand():
        companion._tell(seen)
    assert {job.id for job in companion._jobs_in_hand()} == {queued}


def idle_process(options: Sequence[str]) -> "subprocess.Popen[bytes]":
    """In a worker's place."""
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])


def run_until(
    event: threading.Event, store: Store, monkeypatch: pytest.MonkeyPatch, *, training: bool
) -> None:
    """Let a companion whose server is ready work until the event has come."""
    monkeypatch.setattr(Companion, "_wait_until_ready", lambda self: True)
    companion = Companion(ServerSettings(), store, ensure_key(store), training=training)
    companion.start()
    assert event.wait(300)
    companion.stop()


def test_a_fault_in_the_lines_does_not_leave_the_worker_alone(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    looked = threading.Event()

    def broken(self: Companion) -> list[Job]:
        if "could not say" in caplog.text:  # it came back after the first time
            looked.set()
        raise ValueError("broken")

    monkeypatch.setattr(up, "POLL_S", 0.01)
    monkeypatch.setattr(up, "start_worker", idle_process)
    monkeypatch.setattr(Companion, "_jobs_in_hand", broken)
    run_until(looked, store, monkeypatch, training=False)


def test_greeting_of_an_empty_store(store: Store) -> None:
    key = ensure_key(store)
    store.jobs.enqueue("demo", {}, workspace_id=store.workspaces.default().id)
    text = greeting("http://localhost:9001", key, store)
    assert "http://localhost:9001   (API: http://localhost:9001/docs)" in text
    assert f"key         {key}" in text
    assert "models      none yet" in text
    assert "shapes/1 is being trained" in text
    assert f'"http://localhost:9001/shapes/1?api_key=$(cat {key})"' in text
    assert f"base64 {store.home.folder}/demo/shapes/test/shapes_0280.jpg | curl" in text
    assert key.read_text().strip() not in text  # it would stay in the terminal's scroll-back


def test_greeting_without_a_model_to_come(store: Store) -> None:
    text = greeting("http://localhost:9001", ensure_key(store), store)
    assert "There is no model yet" in text
    assert "shapes/1" not in text
    assert 'model_id="NAME/1"' in text
    assert "Train on your own pictures:" in text
    light = greeting("http://localhost:9001", ensure_key(store), store, training=False)
    assert "Training is not installed" in light
    assert "Train on your own pictures:" not in light


def test_greeting_names_what_can_be_asked(store: Store, home: Path, tmp_path: Path) -> None:
    publish(store, tmp_path)
    pictures = home / "demo" / "shapes" / "test"
    pictures.mkdir(parents=True)
    (pictures / "b.jpg").touch()
    (pictures / "a.jpg").touch()
    text = greeting("http://localhost:9001", ensure_key(store), store)
    assert "models      colours/1" in text
    assert "being trained" not in text
    assert f"base64 {pictures}/a.jpg | curl" in text
    assert 'model_id="colours/1"' in text


def test_the_samples_are_sound(store: Store, tmp_path: Path) -> None:
    publish(store, tmp_path)
    text = greeting("http://localhost:9001", ensure_key(store), store)
    shell, python = re.split(r"or with Python.*\n", text)
    curl = shell[shell.index("base64") :]
    assert subprocess.run(["sh", "-n", "-c", curl], capture_output=True).returncode == 0
    lines = [line.strip() for line in python.splitlines() if line.startswith("  ")]
    compile("\n".join(lines), "sample", "exec")
    assert len(lines) == 3


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://localhost:9001"),
        ("0.0.0.0", "http://localhost:9001"),
        ("10.1.2.3", "http://10.1.2.3:9001"),
    ],
)
def test_the_address_that_is_shown(store: Store, host: str, url: str) -> None:
    companion = Companion(ServerSettings(host=host, port=9001), store, Path("key"), training=False)
    assert companion._url == url


def test_without_training_the_other_jobs_are_done(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Sequence[str]] = []
    there = threading.Event()

    def start(options: Sequence[str]) -> "subprocess.Popen[bytes]":
        started.append(options)
        there.set()
        return idle_process(options)

    monkeypatch.setattr(up, "start_worker", start)
    run_until(there, store, monkeypatch, training=False)
    assert started == [("--only", "data")]


def test_a_worker_that_ends_is_started_anew(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    started: list[tuple[Sequence[str], subprocess.Popen[bytes]]] = []
    thrice = threading.Event()

    def start(options: Sequence[str]) -> "subprocess.Popen[bytes]":
        # The first one ends at once, the others stay.
        ending = [sys.executable, "-c", "raise SystemExit(3)"]
        process = idle_process(options) if started else subprocess.Popen(ending)
        started.append((options, process))
        if len(started) == 3:
            thrice.set()
        return started[-1][1]

    monkeypatch.setattr(up, "POLL_S", 0.02)
    monkeypatch.setattr(up, "start_worker", start)
    run_until(thrice, store, monkeypatch, training=True)
    # One for all jobs, and one that no training holds up; the first is started anew.
    assert [options for options, _ in started] == [(), ("--only", "data"), ()]
    assert [process.poll() for _, process in started] == [3, -signal.SIGTERM, -signal.SIGTERM]
    assert "exit code 3" in caplog.text


def test_a_worker_is_told_its_jobs_and_its_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []

    class Started(subprocess.Popen):
        def __init__(self, command: list[str], **_: object) -> None:
            commands.append(command)

    monkeypatch.setattr(up.subprocess, "Popen", Started)
    for options in up.WORKERS:
        up.start_worker(options)
    ending = ["--parent", str(os.getpid())]
    assert [command[3:] for command in commands] == [
        ["worker", *ending],
        ["worker", "--only", "data", *ending],
    ]


def test_a_worker_that_keeps_ending_is_started_ever_more_seldom(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, starts = [0], []
    ended = SimpleNamespace(poll=lambda: 1, returncode=1)
    monkeypatch.setattr(up, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(up, "start_worker", lambda options: starts.append(clock[0]) or ended)
    worker = up.Worker(())
    for clock[0] in range(1, 1000):
        worker.look_after()
    pauses = [after - before - 1 for before, after in pairwise(starts)]  # a second to notice it
    assert pauses[:8] == [1, 2, 4, 8, 16, 32, 60, 60]


@pytest.fixture
def start_up(
    home: Path, free_port: Callable[[], int]
) -> Iterator[Callable[..., tuple["subprocess.Popen[str]", int]]]:
    """Start `atrous up` without a demo; it is ended, whatever happens."""
    started: list[subprocess.Popen[str]] = []

    def start(port: int | None = None) -> tuple["subprocess.Popen[str]", int]:
        port = port or free_port()
        command = ["up", "--no-demo", "--port", str(port)]
        process = subprocess.Popen(
            [sys.executable, "-m", "atrous", *command],
            env={
                **os.environ,
                "ATROUS_HOME": str(home),
                "PYTHONPATH": str(ROOT / "src"),
                "OMP_NUM_THREADS": "1",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(process)
        return process, port

    yield start
    for process in started:
        process.kill()
        process.communicate()


def read_until(process: "subprocess.Popen[str]", words: str) -> str:
    text = ""
    for line in process.stdout:
        text += line
        if words in line:
            return text
    raise AssertionError(text)


@pytest.mark.slow
def test_up_from_an_empty_folder_and_again(
    home: Path, start_up: Callable[..., tuple["subprocess.Popen[str]", int]]
) -> None:
    keys = []
    for _ in range(2):
        process, port = start_up()
        said = read_until(process, "Stop: Ctrl-C")
        said += read_until(process, "waits for jobs")  # the worker, whose log goes the same way
        assert f"http://localhost:{port}" in said
        assert "being trained" not in said
        keys.append((home / "api_key").read_text().strip())
        address = f"http://127.0.0.1:{port}"
        with httpx.Client(trust_env=False, timeout=300) as client:
            assert client.get(f"{address}/readiness").status_code == 200
            right = client.get(f"{address}/model/registry", params={"api_key": keys[-1]})
            wrong = client.post(f"{address}/shapes/1", params={"api_key": "wrong"}, content=b"x")
            known = client.post(f"{address}/shapes/1", params={"api_key": keys[-1]}, content=b"x")
        assert right.status_code == 200
        assert wrong.status_code in (401, 403)
        assert known.status_code == 404  # there is no such model
        process.send_signal(signal.SIGINT)
        rest = process.communicate(timeout=300)[0]
        assert process.returncode == 0
        assert "Traceback" not in said + rest
    assert keys[0] == keys[1]


@pytest.mark.slow
def test_a_port_in_use_is_no_greeting(
    start_up: Callable[..., tuple["subprocess.Popen[str]", int]],
) -> None:
    first, port = start_up()
    read_until(first, "Stop: Ctrl-C")
    second, _ = start_up(port)
    said = second.communicate(timeout=300)[0]
    assert second.returncode == 1
    assert f"can't listen on 127.0.0.1 port {port}" in said
    assert "atrous is ready" not in said
