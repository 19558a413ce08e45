"""The folder of one training run: what is written in it, and always whole."""

import csv
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from atrous.disk.whole import write_whole
from atrous.domain.errors import BadInput, NotFound
from atrous.domain.recipes import TrainingRecipe


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
        if not self.recipe.exists():
            raise NotFound(f"no run to resume in {self.path}: it has no recipe.json")
        return TrainingRecipe.from_json(json.loads(self.recipe.read_text()))

    def write_results(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write all epochs' figures anew; columns are the keys of the first row."""
        lines: list[str] = []

        class Lines:
            def write(self, line: str) -> None:
                lines.append(line)

        writer = csv.DictWriter(Lines(), list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_whole(self.results, "".join(lines).encode())
