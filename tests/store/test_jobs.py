import threading

import pytest

from atrous.domain.errors import NotFound
from atrous.store import Store, open_store
from atrous.store.jobs import MAX_ATTEMPTS, STALE_AFTER_S, Job, Jobs


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def jobs(store: Store, clock: Clock) -> Jobs:
    return Jobs(store._database, clock)


@pytest.fixture
def enqueue(store: Store, jobs: Jobs, clock: Clock):
    def enqueue(kind: str = "train") -> Job:
        clock.now += 1
        return jobs.enqueue(kind, {"epochs": 1}, workspace_id=store.workspaces.default().id)

    return enqueue


def test_a_job_goes_its_way(jobs: Jobs, enqueue, clock: Clock) -> None:
    job = enqueue()
    assert job.state == "queued"
    claimed = jobs.claim("w1")
    assert claimed is not None
    assert (claimed.id, claimed.state, claimed.attempts) == (job.id, "running", 1)
    assert claimed.payload == {"epochs": 1}
    clock.now += 5
    assert jobs.progress(job.id, "w1", {"epoch": 1})
    assert jobs.get(job.id).progress == {"epoch": 1}
    assert jobs.get(job.id).heartbeat_at == clock.now
    assert jobs.finish(job.id, "w1", {"model": "cats/1"})
    done = jobs.get(job.id)
    assert (done.state, done.result, done.finished_at) == (
        "finished",
        {"model": "cats/1"},
        clock.now,
    )
    assert not jobs.fail(job.id, "w1", "too late")
    assert jobs.claim("w1") is None


def test_oldest_first_and_by_kind(jobs: Jobs, enqueue) -> None:
    first, second, other = enqueue(), enqueue(), enqueue("export")
    assert jobs.claim("w", ["export"]).id == other.id  # type: ignore[union-attr]
    assert jobs.claim("w").id == first.id  # type: ignore[union-attr]
    assert jobs.claim("w").id == second.id  # type: ignore[union-attr]
    assert jobs.claim("w") is None
    assert [job.id for job in jobs.list(state="running", kind="train")] == [first.id, second.id]


def test_a_silent_worker_loses_its_job(jobs: Jobs, enqueue, clock: Clock) -> None:
    job = enqueue()
    jobs.claim("w1")
    clock.now += STALE_AFTER_S
    assert jobs.claim("w2") is None
    assert jobs.heartbeat(job.id, "w1")
    clock.now += STALE_AFTER_S + 1
    again = jobs.claim("w2")
    assert again is not None
    assert again.attempts == 2
    assert not jobs.heartbeat(job.id, "w1")
    assert not jobs.finish(job.id, "w1")
    assert jobs.heartbeat(job.id, "w2")


def test_a_worker_that_is_known_to_live_keeps_its_job(jobs: Jobs, enqueue, clock: Clock) -> None:
    job = enqueue()
    jobs.claim("w1")
    clock.now += STALE_AFTER_S + 1  # as after a night in which the machine was suspended
    assert jobs.claim("w2", living=["w1", "w2"]) is None
    assert jobs.heartbeat(job.id, "w1")
    clock.now += STALE_AFTER_S + 1
    again = jobs.claim("w1", living=["w1", "w2"])  # it could not give it back
    assert again is not None
    assert again.attempts == 2


def test_a_job_that_kills_workers_fails(jobs: Jobs, enqueue, clock: Clock) -> None:
    job = enqueue()
    for attempt in range(MAX_ATTEMPTS):
        assert jobs.claim(f"w{attempt}") is not None
        clock.now += STALE_AFTER_S + 1
    assert jobs.claim("last") is None
    failed = jobs.get(job.id)
    assert failed.state == "failed"
    assert "3 times" in (failed.error or "")


def test_cancelling_stops_the_worker(jobs: Jobs, enqueue) -> None:
    waiting, running = enqueue(), None
    running = jobs.claim("w")
    assert running is not None
    assert running.id == waiting.id
    assert jobs.cancel(running.id)
    assert not jobs.heartbeat(running.id, "w")
    assert not jobs.cancel(running.id)
    second = enqueue()
    assert jobs.cancel(second.id)
    assert jobs.claim("w") is None


def test_workers_at_once_never_share_a_job(store: Store) -> None:
    workspace_id = store.workspaces.default().id
    ids = {store.jobs.enqueue("train", {}, workspace_id=workspace_id).id for _ in range(20)}
    claimed: list[str] = []

    def work(name: str) -> None:
        with open_store(store.home.folder) as own:
            while job := own.jobs.claim(name):
                claimed.append(job.id)

    threads = [threading.Thread(target=work, args=(f"w{i}",)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(claimed) == sorted(ids)


def test_an_unknown_job_is_not_found(jobs: Jobs) -> None:
    with pytest.raises(NotFound):
        jobs.get("nothing")


@pytest.mark.parametrize(("counted", "attempts"), [(True, 1), (False, 0)])
def test_a_released_job_is_queued_again(
    jobs: Jobs, enqueue, clock: Clock, counted: bool, attempts: int
) -> None:
    job = enqueue()
    enqueue()
    jobs.claim("w1")
    jobs.progress(job.id, "w1", {"run": "runs/1"})
    assert jobs.release(job.id, "w1", counted=counted)
    waiting = jobs.get(job.id)
    assert (waiting.state, waiting.worker, waiting.heartbeat_at) == ("queued", None, None)
    assert waiting.attempts == attempts
    assert waiting.progress == {"run": "runs/1"}
    assert not jobs.heartbeat(job.id, "w1")
    again = jobs.claim("w2")  # before the job that came after it
    assert again is not None
    assert (again.id, again.attempts) == (job.id, attempts + 1)


def test_only_its_worker_releases_a_job(jobs: Jobs, enqueue) -> None:
    job = enqueue()
    assert not jobs.release(job.id, "w1", counted=True)  # it waits
    jobs.claim("w1")
    assert not jobs.release(job.id, "w2", counted=True)
    assert jobs.finish(job.id, "w1")
    assert not jobs.release(job.id, "w1", counted=False)
    assert jobs.get(job.id).state == "finished"
    cancelled = enqueue()
    jobs.claim("w1")
    jobs.cancel(cancelled.id)
    assert not jobs.release(cancelled.id, "w1", counted=True)
    assert jobs.get(cancelled.id).state == "cancelled"


def test_releases_that_count_end_in_failure(jobs: Jobs, enqueue) -> None:
    job = enqueue()
    for _ in range(10):  # these do not count
        assert jobs.claim("w") is not None
        jobs.release(job.id, "w", counted=False)
    for _ in range(MAX_ATTEMPTS):
        assert jobs.claim("w") is not None
        jobs.release(job.id, "w", counted=True)
    assert jobs.claim("w") is None
    assert jobs.get(job.id).state == "failed"
