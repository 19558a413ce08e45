"""The queue of slow work: rows that a worker claims, keeps alive and finishes."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, and_, insert, or_, select, update

from atrous.domain.errors import NotFound
from atrous.store.database import Database, jobs, new_id

State = Literal["waiting", "queued", "running", "finished", "failed", "cancelled"]
STALE_AFTER_S = 60.0  # a running job without a sign of life for so long may be claimed again
CHANGE_PHOTOS = "change-photos"  # the kind of job that changes metadata and tags of many photos
EMBED_PROJECT = "embed-project"  # the kind of job that embeds a project's photos for SAM 2
CANCELLED = "it was cancelled, as it or its project went into the trash; ask for it anew"
MAX_ATTEMPTS = 3  # then it fails: a job that kills its workers must not go round for ever


@dataclass(frozen=True)
class Job:
    """One row of `jobs`; times are seconds since 1970."""

    id: str
    workspace_id: str
    kind: str  # which work, as "train"
    state: State
    payload: dict[str, Any]  # what to do; JSON
    progress: dict[str, Any]  # how far it is; JSON
    result: dict[str, Any]  # what came of it; JSON
    error: str | None
    worker: str | None
    attempts: int
    created_at: float
    started_at: float | None
    heartbeat_at: float | None
    finished_at: float | None


class Jobs:
    """Adds, claims and settles jobs. Two workers never hold the same one."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        """Work on an open, migrated database; `clock` gives seconds since 1970."""
        self._database = database
        self._clock = clock

    def enqueue(self, kind: str, payload: dict[str, Any], *, workspace_id: str) -> Job:
        """Add a job at the end of the queue."""
        with self._database.write() as connection:
            return add_job(connection, kind, payload, workspace_id, self._clock())

    def claim(
        self,
        worker: str,
        kinds: Sequence[str] | None = None,
        living: Collection[str] = (),
    ) -> Job | None:
        """Take the oldest job that waits, or whose worker fell silent; None when there is none.

        worker: a name that no other running worker has. It works on nothing now, so that a silent
            job of its own is one that it could not give back.
        kinds: take only these; None means any.
        living: workers that keep their jobs however long they are silent.
        """
        others = [name for name in living if name != worker]
        while True:
            candidate = self._oldest_claimable(kinds, others)
            if candidate is None:
                return None
            if candidate.attempts >= MAX_ATTEMPTS:
                self._change_if_same(
                    candidate,
                    state="failed",
                    finished_at=self._clock(),
                    error=f"the worker stopped in the middle, {candidate.attempts} times",
                )
                continue
            now = self._clock()
            claimed = self._change_if_same(
                candidate,
                state="running",
                worker=worker,
                attempts=candidate.attempts + 1,
                started_at=now,
                heartbeat_at=now,
            )
            if claimed:
                return self.get(candidate.id)

    def _oldest_claimable(self, kinds: Sequence[str] | None, living: Sequence[str]) -> Job | None:
        waiting = jobs.c.state == "queued"
        silent = and_(
            jobs.c.state == "running",
            jobs.c.heartbeat_at < self._clock() - STALE_AFTER_S,
            jobs.c.worker.not_in(living),
        )
        query = select(jobs).where(or_(waiting, silent)).order_by(jobs.c.created_at).limit(1)
        if kinds is not None:
            query = query.where(jobs.c.kind.in_(kinds))
        with self._database.read() as connection:
            row = connection.execute(query).mappings().first()
        return read_job(row) if row else None

    def _change_if_same(self, seen: Job, **values: Any) -> bool:
        """Compare and set: change the row only if nobody has touched it since it was read."""
        unchanged = and_(
            jobs.c.id == seen.id,
            jobs.c.state == seen.state,
            jobs.c.attempts == seen.attempts,
            jobs.c.heartbeat_at.is_not_distinct_from(seen.heartbeat_at),
        )
        with self._database.write() as connection:
            return connection.execute(update(jobs).where(unchanged).values(**values)).rowcount == 1

    def heartbeat(self, job_id: str, worker: str) -> bool:
        """Say that the worker lives; False: the job was cancelled or taken over, stop working."""
        return self._change_if_held(job_id, worker, {"heartbeat_at": self._clock()})

    def progress(self, job_id: str, worker: str, values: dict[str, Any]) -> bool:
        """Publish how far the job is, which is a sign of life too; False as in `heartbeat`."""
        return self._change_if_held(
            job_id, worker, {"progress": values, "heartbeat_at": self._clock()}
        )

    def finish(self, job_id: str, worker: str, result: dict[str, Any] | None = None) -> bool:
        """Settle the job as done; False: it was not this worker's any more."""
        return self._change_if_held(
            job_id,
            worker,
            {"state": "finished", "result": result or {}, "finished_at": self._clock()},
        )

    def fail(self, job_id: str, worker: str, message: str) -> bool:
        """Settle the job as failed, with a message for people; False as in `finish`."""
        return self._change_if_held(
            job_id, worker, {"state": "failed", "error": message, "finished_at": self._clock()}
        )

    def release(self, job_id: str, worker: str, *, counted: bool) -> bool:
        """Queue a job again that this worker holds; False: it was settled or taken over.

        counted: whether the attempt counts, as one that ended in a crash does; a worker that is
        told to stop gives its job back uncounted.
        """
        back = {"state": "queued", "worker": None, "heartbeat_at": None}
        refund = {} if counted else {"attempts": jobs.c.attempts - 1}
        return self._change_if_held(job_id, worker, back | refund)

    def _change_if_held(self, job_id: str, worker: str, values: dict[str, Any]) -> bool:
        held = and_(jobs.c.id == job_id, jobs.c.state == "running", jobs.c.worker == worker)
        with self._database.write() as connection:
            return connection.execute(update(jobs).where(held).values(values)).rowcount == 1

    def cancel(self, job_id: str) -> bool:
        """Stop a job that waits or runs (its next heartbeat says so); False: it was settled."""
        open_job = and_(jobs.c.id == job_id, jobs.c.state.in_(["queued", "running"]))
        values = {"state": "cancelled", "finished_at": self._clock()}
        with self._database.write() as connection:
            return connection.execute(update(jobs).where(open_job).values(**values)).rowcount == 1

    def get(self, job_id: str) -> Job:
        """Give a job, else raise NotFound."""
        with self._database.read() as connection:
            rows = connection.execute(select(jobs).where(jobs.c.id == job_id))
            row = rows.mappings().first()
        if row is None:
            raise NotFound(f"there is no job {job_id[:100]!r}")
        return read_job(row)

    def list(self, *, state: State | None = None, kind: str | None = None) -> list[Job]:
        """Give the jobs, oldest first, of one state or kind where these are given."""
        query = select(jobs).order_by(jobs.c.created_at)
        if state is not None:
            query = query.where(jobs.c.state == state)
        if kind is not None:
            query = query.where(jobs.c.kind == kind)
        with self._database.read() as connection:
            return [read_job(row) for row in connection.execute(query).mappings()]


def add_job(
    connection: Connection, kind: str, payload: dict[str, Any], workspace_id: str, now: float
) -> Job:
    """Add a job in a transaction that adds what it works for, so that none is without the other."""
    job = Job(
        id=new_id(),
        workspace_id=workspace_id,
        kind=kind,
        state="queued",
        payload=payload,
        progress={},
        result={},
        error=None,
        worker=None,
        attempts=0,
        created_at=now,
        started_at=None,
        heartbeat_at=None,
        finished_at=None,
    )
    connection.execute(insert(jobs).values(**vars(job)))
    return job


def why_not_made(state: str, error: str | None) -> str | None:
    """What people are told of a job that came to nothing; None of one that did not."""
    return error or (CANCELLED if state == "cancelled" else None)


def read_job(row: Mapping[Any, Any]) -> Job:
    """Read a row of `jobs`."""
    return Job(**row)
