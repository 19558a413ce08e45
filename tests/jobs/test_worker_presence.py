import subprocess
import sys
from pathlib import Path

from atrous.jobs.worker_presence import present, release_jobs_of_the_dead
from atrous.store.opening import Store

# A worker that begins a child, says so, and waits to be killed.
WORKER = """
import subprocess, sys, time
from pathlib import Path
from atrous.jobs.worker_presence import present
with present(Path(sys.argv[1]), "dying") as descriptor:
    child = subprocess.Popen([sys.executable, "-c", "input()"], pass_fds=[descriptor])
    print("ready", flush=True)
    time.sleep(600)
"""


def enqueued(store: Store) -> str:
    return store.jobs.enqueue("train", {}, workspace_id=store.workspaces.default().id).id


def test_the_job_of_a_living_worker_is_left_alone(store: Store) -> None:
    job_id = enqueued(store)
    with present(store.home.folder, "alive"):
        store.jobs.claim("alive")
        assert release_jobs_of_the_dead(store) == {"alive"}
        assert store.jobs.get(job_id).state == "running"
    assert list((store.home.folder / "workers").iterdir()) == []


def test_the_job_of_an_unknown_worker_is_left_alone(store: Store) -> None:
    job_id = enqueued(store)
    store.jobs.claim("elsewhere")
    assert release_jobs_of_the_dead(store) == set()
    assert store.jobs.get(job_id).state == "running"


def test_a_killed_workers_job_waits_for_its_child_and_is_queued_again(store: Store) -> None:
    job_id = enqueued(store)
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(store.home.folder)],
        cwd=Path(__file__).parents[2] / "src",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert worker.stdin
    assert worker.stdout
    assert worker.stdout.readline() == b"ready\n"
    store.jobs.claim("dying")
    worker.kill()
    worker.wait()
    assert release_jobs_of_the_dead(store) == {"dying"}
    assert store.jobs.get(job_id).state == "running"  # the child lives
    worker.stdin.close()  # ends it, and with it the last copy of its output
    assert worker.stdout.read() == b""
    worker.stdout.close()
    while store.jobs.get(job_id).state == "running":  # a process lets go of one file after another
        release_jobs_of_the_dead(store)
    job = store.jobs.get(job_id)
    assert (job.state, job.attempts) == ("queued", 1)
