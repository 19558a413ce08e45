"""Two workers on one database: every job runs once."""

import sys
import threading
from collections import Counter
from pathlib import Path

import pytest

from atrous.jobs import worker
from atrous.store import Store, open_store

JOBS = 8
# What a child does, without the half second that importing atrous takes.
CHILD = """
import sys
url, job_id, name, log = sys.argv[1:]
with open(log, "a") as file:
    file.write(job_id + "\\n")
if url.startswith("sqlite"):
    import sqlite3
    connection = sqlite3.connect(url.removeprefix("sqlite:///"), timeout=300)
else:
    import psycopg
    connection = psycopg.connect(url)
connection.execute(
    f"UPDATE jobs SET state = 'finished', finished_at = 1 "
    f"WHERE id = '{job_id}' AND worker = '{name}' AND state = 'running'"
)
connection.commit()
connection.close()
"""


def test_two_workers_never_run_a_job_twice(
    store: Store, migrated_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log"
    monkeypatch.setattr(worker, "POLL_S", 0.02)
    monkeypatch.setattr(
        worker,
        "child_command",
        lambda job_id, name: [sys.executable, "-c", CHILD, migrated_url, job_id, name, str(log)],
    )
    workspace_id = store.workspaces.default().id
    ids = [store.jobs.enqueue("train", {}, workspace_id=workspace_id).id for _ in range(JOBS)]
    stopping = threading.Event()

    def work(name: str) -> None:
        with open_store(store.home.folder) as own:
            worker.work(own, name, stopping)

    threads = [threading.Thread(target=work, args=(f"w{number}",)) for number in range(2)]
    for thread in threads:
        thread.start()
    while any(store.jobs.get(job_id).state in ("queued", "running") for job_id in ids):
        assert any(thread.is_alive() for thread in threads)
        stopping.wait(0.05)
    stopping.set()
    for thread in threads:
        thread.join()
    assert Counter(log.read_text().split()) == dict.fromkeys(ids, 1)
    assert all(store.jobs.get(job_id).attempts == 1 for job_id in ids)
