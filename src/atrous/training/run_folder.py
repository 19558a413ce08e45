"""The folder of one training run: what is written in it, and always whole."""

import csv
import fcntl
import json
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from atrous.disk.whole import write_whole
from atrous.domain.errors import BadInput, Conflict, NotFound
from atrous.domain.recipes import TrainingRecipe

CLAIM_S = 10.0  # helpers of a killed process notice within five seconds, and hold its lock
POLL_S = 0.2


@dataclass(frozen=True)
class RunFolder:
    """Where the parts of a run lie."""

    path: Path

    @property
    def recipe(self) -> Path:
        """Every choice of the training, JSON."""
        return self.path / "recipe.json"

    @property
    def results(self) -> Path:
        """One row of figures per epoch, CSV."""
        return self.path / "results.csv"

    @property
    def checkpoints(self) -> Path:
        """The best and the last weights."""
        return self.path / "checkpoints"

    @property
    def package(self) -> Path:
        """The exported model package."""
        return self.path / "package"

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Keep others from training the run meanwhile; Conflict where a process does already.

        The lock is on the recipe, which is never replaced, and ends with the process, however that
        ends. NotFound if there is no run here.
        """
        self._insist()
        with self.recipe.open("r+b") as file:
            self._lock(file.fileno())
            yield

    def _lock(self, descriptor: int) -> None:
        limit_s = time.monotonic() + CLAIM_S
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() >= limit_s:
                    raise Conflict(
                        f"run {self.path} is being trained by another process; wait for it, or "
                        "stop it first"
                    ) from None
                time.sleep(POLL_S)

    def remove_leftovers(self) -> None:
        """Remove what a killed process left half written; no other one may use the run."""
        for path in (*self.path.glob(".*.tmp"), *self.checkpoints.glob(".*.tmp")):
            path.unlink()
        for path in self.path.glob(".export-*"):
            shutil.rmtree(path)

    def create(self, recipe: TrainingRecipe) -> None:
        """Make the folder and write the recipe; BadInput if it can't be written."""
        try:
            self.checkpoints.mkdir(parents=True, exist_ok=True)
            write_whole(self.recipe, json.dumps(recipe.to_json(), indent=2).encode())
        except OSError as error:
            raise BadInput(
                f"run folder {self.path} can't be written: {error.strerror}; free the disk or "
                "choose another folder"
            ) from error

    def read_recipe(self) -> TrainingRecipe:
        """The recipe that the run was started with; NotFound if there is no run here."""
        self._insist()
        return TrainingRecipe.from_json(json.loads(self.recipe.read_text()))

    def _insist(self) -> None:
        if not self.recipe.exists():
            raise NotFound(f"no run to resume in {self.path}: it has no recipe.json")

    def write_results(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write all epochs' figures anew; a row may lack some, as those of an older version."""
        lines: list[str] = []

        class Lines:
            def write(self, line: str) -> None:
                lines.append(line)

        columns = list(dict.fromkeys(name for row in rows for name in row))
        writer = csv.DictWriter(Lines(), columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_whole(self.results, "".join(lines).encode())
