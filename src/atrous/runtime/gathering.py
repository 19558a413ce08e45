"""Requests of one moment run as one batch: for GPUs, where that takes hardly longer."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float32

from atrous.packages.inference_config import MOST_PICTURES
from atrous.runtime.session import Session

Photos = Float32[np.ndarray, "n 3 height width"]
Logits = Float32[np.ndarray, "n classes out_height out_width"]


@dataclass
class _Batch:
    """What one thread gathers and runs for all."""

    parts: list[Photos] = field(default_factory=list)
    answer: "Future[Logits]" = field(default_factory=Future)


class GatheringSession:
    """A session that waits a moment for others' pictures, and runs all of them at once.

    Whoever comes first waits, at most `gather_s`, or until there are `most_pictures`; then it runs
    the batch while the next one gathers. For sessions whose graph takes any batch.
    """

    def __init__(
        self, session: Session, gather_s: float, most_pictures: int = MOST_PICTURES
    ) -> None:
        """Wrap a session, which is closed with this one."""
        self._session = session
        self._gather_s = gather_s
        self._most_pictures = most_pictures
        self._changed = threading.Condition()
        self._batch: _Batch | None = None  # that gathers now
        self.engine, self.device = session.engine, session.device
        self.precision, self.threads = session.precision, session.threads
        self.input_size, self.class_count = session.input_size, session.class_count
        self.batch_size, self.enlarged = session.batch_size, session.enlarged

    def run(
        self, batch: Float32[np.ndarray, "n 3 height width"]
    ) -> Float32[np.ndarray, "n classes out_height out_width"]:
        """Logits of preprocessed pictures; a failure is raised to all who are in the batch."""
        with self._changed:
            gathering, leads = self._join(batch)
            start = sum(len(part) for part in gathering.parts[:-1])
            if leads:
                self._changed.wait_for(lambda: self._batch is not gathering, self._gather_s)
                if self._batch is gathering:  # else those who came took it out: it is full
                    self._batch = None
        if leads:
            self._run_for_all(gathering)
        return gathering.answer.result()[start : start + len(batch)]

    def _join(self, batch: Photos) -> tuple[_Batch, bool]:
        """The batch that these pictures are in now, and whether they are its first."""
        leads = self._batch is None
        if self._batch is None:
            self._batch = _Batch()
        gathering = self._batch
        gathering.parts.append(batch)
        if sum(map(len, gathering.parts)) >= self._most_pictures:
            self._batch = None
            self._changed.notify_all()
        return gathering, leads

    def _run_for_all(self, gathered: _Batch) -> None:
        try:
            gathered.answer.set_result(self._session.run(np.concatenate(gathered.parts)))
        except BaseException as error:  # noqa: BLE001 - it is raised to all who wait
            gathered.answer.set_exception(error)

    @contextmanager
    def lend(
        self, batch: Float32[np.ndarray, "n 3 height width"]
    ) -> Iterator[Float32[np.ndarray, "n classes out_height out_width"]]:
        """The same as `run`: the answers of a batch are shared out as they are."""
        yield self.run(batch)

    def close(self) -> None:
        """Close the session behind it."""
        self._session.close()
