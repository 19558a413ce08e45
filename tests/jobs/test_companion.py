import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from atrous.domain.errors import OutOfMemory, TrainingFailed
from atrous.jobs import companion
from atrous.jobs.companions import EXPLAINED, LACKS_MEMORY
from atrous.training.processes import Processes


@pytest.fixture(autouse=True)
def second_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers of torchrun, without another process and without ending with pytest's."""

    @contextmanager
    def joined() -> Iterator[Processes]:
        yield Processes(1, 2)

    monkeypatch.setenv("RANK", "1")
    monkeypatch.setattr(companion, "joined", joined)
    monkeypatch.setattr(companion.signal, "signal", lambda *_: None)
    monkeypatch.setattr(companion, "end_with", lambda parent: None)
    monkeypatch.setattr(companion, "reopen", lambda run: (None, "the set"))


def test_it_trains_the_run(tiny: ModuleType, tmp_path: Path, monkeypatch: Any) -> None:
    recipe = tiny.tiny_recipe()
    tiny.new_run(tmp_path, recipe)
    trained: list[Any] = []
    monkeypatch.setattr(companion, "train", lambda *arguments: trained.append(arguments))
    assert companion.main(str(tmp_path), os.getppid()) == 0
    [(dataset, seen, run, _, processes)] = trained
    assert (dataset, seen, run.path) == ("the set", recipe, tmp_path)
    assert processes == Processes(1, 2)


def test_a_failure_is_its_last_word(
    tiny: ModuleType, tmp_path: Path, monkeypatch: Any, caplog: pytest.LogCaptureFixture
) -> None:
    tiny.new_run(tmp_path, tiny.tiny_recipe())

    def fail(*_: Any) -> None:
        raise TrainingFailed("the memory does not suffice")

    monkeypatch.setattr(companion, "train", fail)
    with caplog.at_level(logging.ERROR):
        assert companion.main(str(tmp_path), os.getppid()) == EXPLAINED
    assert caplog.messages[-1] == "the memory does not suffice"


def test_where_memory_was_short_it_is_told_how_many_parts_to_take(
    tiny: ModuleType, tmp_path: Path, monkeypatch: Any
) -> None:
    tiny.new_run(tmp_path, tiny.tiny_recipe())
    seen: list[int] = []

    def fail(dataset: Any, recipe: Any, *_: Any) -> None:
        seen.append(recipe.accumulation)
        raise OutOfMemory("the memory of process 2 of 2 does not suffice")

    monkeypatch.setattr(companion, "train", fail)
    assert companion.main(str(tmp_path), os.getppid(), 2) == LACKS_MEMORY
    assert companion.main(str(tmp_path), os.getppid()) == LACKS_MEMORY
    assert seen == [2, 1]
