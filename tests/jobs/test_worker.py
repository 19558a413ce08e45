import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete

from atrous.domain.errors import Conflict, DiskFull, Unavailable
from atrous.jobs import worker
from atrous.jobs.settling import BROKEN_OFF
from atrous.jobs.worker import (
    DATASET_KINDS,
    child_command,
    dataset_child_command,
    run_in_child,
    work,
    worker_name,
)
from atrous.jobs.worker_presence import present
from atrous.store.database import jobs
from atrous.store.jobs import MAX_ATTEMPTS, STALE_AFTER_S, Job
from atrous.store.opening import Store, open_store

PATIENCE_S = 300.0
# Programs that stand in for a training: they get a job's id and the worker's name.
SETTLE = """
import sys
from pathlib import Path
from atrous.store.home import home_folder
from atrous.store.opening import open_store
with open_store(home_folder()) as store:
    store.jobs.finish(sys.argv[1], sys.argv[2], {"model_id": "cats/1"})
"""
DIE = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
WAIT = """
import os, pathlib, sys, time
pathlib.Path(os.environ["ATROUS_HOME"], "pid").write_text(str(os.getpid()))
time.sleep(600)
"""
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + WAIT


@pytest.fixture
def store(new_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setenv("ATROUS_HOME", str(new_home))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2] / "src"))
    monkeypatch.setattr(worker, "POLL_S", 0.02)
    with open_store(new_home) as opened:
        yield opened


@pytest.fixture
def run_instead(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Run this program instead of a training."""

    def choose(program: str) -> None:
        monkeypatch.setattr(
            worker, "child_command", lambda job, name: [sys.executable, "-c", program, job, name]
        )

    return choose


def claimed(store: Store) -> Job:
    store.jobs.enqueue("train", {}, workspace_id=store.workspaces.default().id)
    job = store.jobs.claim("w")
    assert job is not None
    return job


def until(holds: Callable[[], object]) -> None:
    give_up = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < give_up
        time.sleep(0.02)


def in_thread(store: Store, job: Job, stopping: threading.Event) -> threading.Thread:
    """Watch over a job in a thread, until its child is up."""
    thread = threading.Thread(target=run_in_child, args=(store, job, "w", stopping))
    thread.start()
    pid = store.home.folder / "pid"
    until(lambda: pid.exists() and pid.read_text())
    return thread


def child_runs(store: Store) -> bool:
    try:
        os.kill(int((store.home.folder / "pid").read_text()), 0)
    except ProcessLookupError:
        return False
    return True


def test_a_child_settles_its_job(store: Store, run_instead: Callable[[str], None]) -> None:
    run_instead(SETTLE)
    job = claimed(store)
    run_in_child(store, job, "w", threading.Event())
    done = store.jobs.get(job.id)
    assert (done.state, done.result) == ("finished", {"model_id": "cats/1"})
    assert done.attempts == 1


def test_a_child_that_dies_is_tried_again_and_then_fails(
    store: Store, run_instead: Callable[[str], None], caplog: pytest.LogCaptureFixture
) -> None:
    run_instead(DIE)
    job = store.jobs.enqueue("train", {}, workspace_id=store.workspaces.default().id)
    stopping = threading.Event()
    thread = threading.Thread(target=work, args=(store, "w", stopping))
    thread.start()
    until(lambda: store.jobs.get(job.id).state == "failed")
    stopping.set()
    thread.join()
    failed = store.jobs.get(job.id)
    assert failed.attempts == MAX_ATTEMPTS
    assert f"{MAX_ATTEMPTS} times" in (failed.error or "")
    assert f"exit code {-signal.SIGKILL}" in caplog.text


@pytest.mark.parametrize("program", [WAIT, DEAF], ids=["willing", "deaf"])
def test_stopping_gives_the_job_back_uncounted(
    store: Store,
    run_instead: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
    program: str,
) -> None:
    monkeypatch.setattr(worker, "TERMINATE_S", 0.2)
    run_instead(program)
    job = claimed(store)
    stopping = threading.Event()
    thread = in_thread(store, job, stopping)
    stopping.set()
    thread.join(PATIENCE_S)
    assert not child_runs(store)
    waiting = store.jobs.get(job.id)
    assert (waiting.state, waiting.worker, waiting.attempts) == ("queued", None, 0)


def test_a_child_that_ctrl_c_ended_first_is_not_counted(
    store: Store, run_instead: Callable[[str], None]
) -> None:
    run_instead(DIE)
    job = claimed(store)
    stopping = threading.Event()
    stopping.set()
    run_in_child(store, job, "w", stopping)
    assert (store.jobs.get(job.id).state, store.jobs.get(job.id).attempts) == ("queued", 0)


def test_a_child_that_met_an_outage_is_not_counted(
    store: Store, run_instead: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    run_instead(f"raise SystemExit({BROKEN_OFF})")
    job, stopping, waited = claimed(store), threading.Event(), []
    wait = stopping.wait
    monkeypatch.setattr(stopping, "wait", lambda limit_s: waited.append(limit_s) or wait(0.02))
    run_in_child(store, job, "w", stopping)
    assert (store.jobs.get(job.id).state, store.jobs.get(job.id).attempts) == ("queued", 0)
    assert waited[-1] == worker.RETRY_S


def test_a_cancelled_job_ends_its_child(store: Store, run_instead: Callable[[str], None]) -> None:
    run_instead(WAIT)
    job = claimed(store)
    thread = in_thread(store, job, threading.Event())
    assert store.jobs.cancel(job.id)
    thread.join(PATIENCE_S)
    assert not child_runs(store)
    assert store.jobs.get(job.id).state == "cancelled"


def test_a_job_whose_row_is_deleted_ends_its_child(
    store: Store, run_instead: Callable[[str], None], caplog: pytest.LogCaptureFixture
) -> None:
    run_instead(WAIT)
    caplog.set_level("INFO", worker.__name__)
    job = claimed(store)
    thread = in_thread(store, job, threading.Event())
    with store._database.write() as connection:
        connection.execute(delete(jobs).where(jobs.c.id == job.id))
    thread.join(PATIENCE_S)
    assert not child_runs(store)
    assert caplog.messages[-1] == f"job {job.id} was cancelled"


def test_a_running_child_keeps_its_job_alive(
    store: Store, run_instead: Callable[[str], None]
) -> None:
    run_instead(WAIT)
    job = claimed(store)
    stopping = threading.Event()
    thread = in_thread(store, job, stopping)
    seen = store.jobs.get(job.id).heartbeat_at
    until(lambda: (store.jobs.get(job.id).heartbeat_at or 0) > (seen or 0))
    stopping.set()
    thread.join(PATIENCE_S)


def test_other_kinds_of_jobs_are_left_to_others(store: Store) -> None:
    job = store.jobs.enqueue("bake", {}, workspace_id=store.workspaces.default().id)
    stopping = threading.Event()
    thread = threading.Thread(target=work, args=(store, "w", stopping))
    thread.start()
    time.sleep(0.2)
    stopping.set()
    thread.join(PATIENCE_S)
    assert store.jobs.get(job.id).state == "queued"


def test_a_training_does_not_hold_up_a_worker_for_data(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = [sys.executable, "-c", SETTLE]
    monkeypatch.setattr(worker, "dataset_child_command", lambda job, name: [*command, job, name])
    workspace_id = store.workspaces.default().id
    training, *data = [
        store.jobs.enqueue(kind, {}, workspace_id=workspace_id)
        for kind in ("train-version", "import-zip", "evaluate")
    ]
    stopping = threading.Event()
    thread = threading.Thread(target=work, args=(store, "data", stopping, DATASET_KINDS))
    thread.start()
    until(lambda: all(store.jobs.get(job.id).state == "finished" for job in data))
    stopping.set()
    thread.join(PATIENCE_S)
    assert store.jobs.get(training.id).state == "queued"
    first, second = (store.jobs.get(job.id).started_at or 0.0 for job in data)
    assert first < second  # oldest first


def test_a_silent_job_of_a_worker_that_lives_is_left_to_it(
    store: Store, run_instead: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    run_instead(SETTLE)
    job, stopping = claimed(store), threading.Event()
    monkeypatch.setattr(store.jobs, "_clock", lambda: time.time() + STALE_AFTER_S + 1)
    claim, seen = store.jobs.claim, []

    def claim_twice(*given: Any) -> Job | None:
        seen.append(claim(*given))
        if len(seen) == 2:
            stopping.set()
        return seen[-1]

    monkeypatch.setattr(store.jobs, "claim", claim_twice)
    with present(store.home.folder, "w"):
        work(store, "other", stopping)
    assert seen == [None, None]
    assert store.jobs.heartbeat(job.id, "w")


def test_the_child_is_this_program() -> None:
    own = str(os.getpid())  # a child that is still importing may outlive the worker
    command = child_command("job1", "host:1")
    assert command == [sys.executable, "-m", "atrous.jobs.child", "job1", "host:1", own]
    assert dataset_child_command("job1", "host:1")[-3:] == ["job1", "host:1", own]
    assert worker_name().endswith(f":{os.getpid()}")


def test_leftovers_are_deleted_while_there_is_nothing_to_do(store: Store) -> None:
    left = store.home.cache / "export-left"
    left.mkdir()
    os.utime(left, (0, 0))
    stopping = threading.Event()
    thread = threading.Thread(target=work, args=(store, "w", stopping))
    thread.start()
    until(lambda: not left.exists())
    stopping.set()
    thread.join()


@pytest.mark.parametrize(
    "error",
    [
        OSError("input/output error"),
        DiskFull("full"),
        Unavailable("away"),
        Conflict("blobs of others"),
    ],
)
def test_a_worker_outlives_a_cleaning_that_fails(
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(store.leftovers, "remove", fail)
    worker.clean(store)
    assert "could not be deleted" in caplog.text


@pytest.mark.parametrize("outage", [Unavailable("away"), DiskFull("full")])
def test_a_child_outlives_a_database_that_does_not_answer(
    store: Store,
    run_instead: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
    outage: Exception,
) -> None:
    run_instead(WAIT)
    job = claimed(store)
    heartbeat, missed = store.jobs.heartbeat, []

    def fail_twice(job_id: str, name: str) -> bool:
        if len(missed) < 2:
            missed.append(name)
            raise outage
        return heartbeat(job_id, name)

    monkeypatch.setattr(store.jobs, "heartbeat", fail_twice)
    stopping = threading.Event()
    thread = in_thread(store, job, stopping)
    seen = store.jobs.get(job.id).heartbeat_at
    until(lambda: (store.jobs.get(job.id).heartbeat_at or 0) > (seen or 0))
    assert missed == ["w", "w"]
    assert child_runs(store)
    stopping.set()
    thread.join(PATIENCE_S)
    assert store.jobs.get(job.id).attempts == 0


def test_a_worker_waits_for_a_database_that_does_not_answer(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(worker, "RETRY_S", 0.0)
    claim, stopping, asked = store.jobs.claim, threading.Event(), []

    def fail_once(*given: Any) -> Job | None:
        asked.append(given)
        if len(asked) == 1:
            raise Unavailable("the database does not answer; try again")
        stopping.set()
        return claim(*given)

    monkeypatch.setattr(store.jobs, "claim", fail_once)
    work(store, "w", stopping)
    assert len(asked) == 2
    assert "does not answer" in caplog.text
