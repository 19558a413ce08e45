import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from atrous.domain.errors import BadPackage
from atrous.runtime.gathering import GatheringSession
from atrous.runtime.session import Session, open_session

PICTURES = 6


@pytest.fixture
def session(save_network: Callable[..., Path]) -> Session:
    path = save_network(shape=("n", 3, 32, 48))
    return open_session(path, engine="onnxruntime", threads=1)


def picture(number: int, count: int = 1) -> np.ndarray:
    return np.full((count, 3, 32, 48), number / PICTURES, np.float32)


def counted(session: Session) -> list[int]:
    """The sizes of the batches that the session runs from now on."""
    sizes: list[int] = []
    run = session.run

    def note(batch: np.ndarray) -> np.ndarray:
        sizes.append(len(batch))
        return run(batch)

    session.run = note  # type: ignore[method-assign]
    return sizes


def test_it_is_a_session_like_the_one_behind_it(session: Session) -> None:
    gathering = GatheringSession(session, gather_s=0.001)
    assert isinstance(gathering, Session)
    for name in (
        "engine",
        "device",
        "precision",
        "threads",
        "input_size",
        "class_count",
        "batch_size",
        "enlarged",
    ):
        assert getattr(gathering, name) == getattr(session, name)


def test_pictures_of_one_moment_run_together_and_get_their_own_answers(session: Session) -> None:
    sizes = counted(session)
    gathering = GatheringSession(session, gather_s=300.0, most_pictures=PICTURES)

    def answer(number: int) -> bool:
        with gathering.lend(picture(number)) as logits:
            return logits.shape == (1, 4, 32, 48) and np.allclose(
                logits[0, 1], 4 * number / PICTURES
            )

    start = time.perf_counter()
    with ThreadPoolExecutor(PICTURES) as threads:
        assert all(threads.map(answer, range(PICTURES)))
    assert sizes == [PICTURES]
    assert time.perf_counter() - start < 300  # a full batch does not wait


def test_batches_join_and_the_next_one_begins_where_one_is_full(session: Session) -> None:
    sizes = counted(session)
    gathering = GatheringSession(session, gather_s=0.02, most_pictures=4)

    def answer(number: int) -> bool:
        count = number % 3 + 1
        logits = gathering.run(picture(number, count))
        return len(logits) == count and np.allclose(logits[:, 1], 4 * number / PICTURES)

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(answer, [number % PICTURES for number in range(40)]))
    assert sum(sizes) == sum(number % PICTURES % 3 + 1 for number in range(40))


def test_one_alone_waits_no_longer_than_the_bound(session: Session) -> None:
    gathering = GatheringSession(session, gather_s=0.05)
    start = time.perf_counter()
    assert np.allclose(gathering.run(picture(3))[0, 1], 2)
    assert time.perf_counter() - start >= 0.05


def test_a_failure_reaches_all_and_the_next_batch_runs(session: Session) -> None:
    gathering = GatheringSession(session, gather_s=30.0, most_pictures=2)
    run, broken = session.run, threading.Event()

    def fail_once(batch: np.ndarray) -> np.ndarray:
        if not broken.is_set():
            broken.set()
            raise BadPackage("broken")
        return run(batch)

    session.run = fail_once  # type: ignore[method-assign]
    with ThreadPoolExecutor(2) as threads:
        failed = [threads.submit(gathering.run, picture(1)) for _ in range(2)]
        for future in failed:
            with pytest.raises(BadPackage, match="broken"):
                future.result()
        answers = [threads.submit(gathering.run, picture(3)) for _ in range(2)]
        assert all(np.allclose(future.result()[0, 1], 2) for future in answers)
    gathering.close()
