import os
import subprocess
import sys
from typing import Any

import pytest

from atrous.domain.errors import BadInput, Unavailable
from atrous.jobs import settling
from atrous.jobs.settling import BROKEN_OFF, FractionReport, run_and_settle, unsaid_in_outages
from atrous.store.jobs import Job, Jobs
from atrous.store.opening import Store

# Begun by a worker that died before this line.
ORPHAN = """
import sys, time
from atrous.jobs.settling import run_and_settle
run_and_settle(sys.argv[1], "w", int(sys.argv[2]), lambda *_: time.sleep(600))
"""


@pytest.fixture
def job(store: Store, monkeypatch: pytest.MonkeyPatch) -> Job:
    monkeypatch.setattr(settling.os, "nice", lambda _: 0)
    monkeypatch.setenv("ATROUS_HOME", str(store.home.folder))
    store.jobs.enqueue("generate", {}, workspace_id=store.workspaces.default().id)
    claimed = store.jobs.claim("w")
    assert claimed is not None
    return claimed


def test_a_result_finishes_the_job(store: Store, job: Job) -> None:
    assert run_and_settle(job.id, "w", os.getppid(), lambda job, worker, _: {"said": worker}) == 0
    done = store.jobs.get(job.id)
    assert (done.state, done.result) == ("finished", {"said": "w"})


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (BadInput("too small"), "too small"),
        (OSError(28, "disk full"), "OSError: [Errno 28]"),
        (OverflowError("too large"), "OverflowError: too large"),
    ],
)
def test_an_error_fails_it(store: Store, job: Job, error: Exception, told: str) -> None:
    def fail(*_: Any) -> dict[str, Any]:
        raise error

    assert run_and_settle(job.id, "w", os.getppid(), fail) == 0
    failed = store.jobs.get(job.id)
    assert failed.state == "failed"
    assert (failed.error or "").startswith(told)


@pytest.mark.parametrize("kind", [BadInput, OSError])
def test_a_message_does_not_say_where_the_data_folder_lies(
    store: Store, job: Job, kind: type[Exception]
) -> None:
    def fail(*_: Any) -> dict[str, Any]:
        raise kind(f"{store.home.folder}/cache/versions/1 shows one class alone")

    assert run_and_settle(job.id, "w", os.getppid(), fail) == 0
    message = store.jobs.get(job.id).error or ""
    assert "the data folder/cache/versions/1 shows one class alone" in message
    assert str(store.home.folder) not in message


def test_what_nobody_foresaw_ends_the_process(store: Store, job: Job) -> None:
    def fail(*_: Any) -> dict[str, Any]:
        raise MemoryError

    with pytest.raises(MemoryError):
        run_and_settle(job.id, "w", os.getppid(), fail)
    assert store.jobs.get(job.id).state == "running"


def test_a_child_ends_whose_worker_died_before_it_began(store: Store, job: Job) -> None:
    nobodys = str(os.getppid())  # runs, but is not the child's parent
    assert subprocess.run([sys.executable, "-c", ORPHAN, job.id, nobodys]).returncode == 1
    assert store.jobs.get(job.id).state == "running"


def test_progress_is_written_once_a_second(
    store: Store, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(settling.time, "monotonic", lambda: now[0])
    report, seen = FractionReport(job, "w", store, total=40), []
    for _ in range(40):
        report.step()
        now[0] += 0.1
        seen.append(store.jobs.get(job.id).progress.get("fraction"))
    assert seen[0] == 1 / 40
    assert 3 <= len(set(seen)) <= 5
    assert max(seen) <= 1


def away(*_: Any, **__: Any) -> None:
    raise Unavailable("the database does not answer; try again")


def test_a_job_that_an_outage_broke_off_is_not_settled(store: Store, job: Job) -> None:
    assert run_and_settle(job.id, "w", os.getppid(), away) == BROKEN_OFF
    assert store.jobs.get(job.id).state == "running"  # its worker gives it back


@pytest.mark.parametrize("step", ["get", "finish"])
def test_an_outage_before_or_after_the_work_is_one_too(
    job: Job, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    monkeypatch.setattr(Jobs, step, away)
    assert run_and_settle(job.id, "w", os.getppid(), lambda *_: {}) == BROKEN_OFF


def test_work_goes_on_while_its_progress_can_not_be_written(
    store: Store, job: Job, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(store.jobs, "progress", away)
    FractionReport(job, "w", store, total=2).step()
    assert "does not answer" in caplog.text
    with pytest.raises(BadInput), unsaid_in_outages():
        raise BadInput("another matter")
