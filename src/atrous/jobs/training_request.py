"""What somebody wants trained; light to import, so that it can be queued without torch."""

import shlex
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from atrous.datasets.detect import DatasetOptions
from atrous.domain.recipes import MAX_SIDE


@dataclass(frozen=True)
class TrainingRequest:
    """What to train on, as what, and how; saved as `request.json` in the run's folder."""

    directory: Path
    project: str
    options: DatasetOptions = DatasetOptions()
    skip_bad: bool = False
    max_side: int = MAX_SIDE
    choices: dict[str, Any] = field(default_factory=dict)  # fields of TrainingRecipe
    serving: dict[str, Any] = field(default_factory=dict)  # of PreprocessRecipe: as JSON, for
    # photos, where those of `directory` were cropped, made grey and so on beforehand
    workspace_id: str | None = None  # who owns the model; None: the default workspace
    version: int | None = None  # of the model; None: the next one that was never used
    tensorboard: bool = False  # write a TensorBoard log into the run folder
    training_id: str | None = None  # of the platform, where it asked for the training

    @property
    def resume_command(self) -> str:
        """What to type to go on with its interrupted run."""
        return f"atrous train {shlex.quote(str(self.directory))} --as {self.project} --resume"

    def to_json(self) -> dict[str, Any]:
        """The request as JSON values."""
        options = asdict(self.options)
        options["classes_file"] = options["classes_file"] and str(options["classes_file"])
        return {**asdict(self), "directory": str(self.directory), "options": options}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "TrainingRequest":
        """Read what `to_json` wrote."""
        options = dict(values["options"])
        options["classes"] = options["classes"] and tuple(options["classes"])
        options["classes_file"] = options["classes_file"] and Path(options["classes_file"])
        return cls(
            **{
                **values,
                "directory": Path(values["directory"]),
                "options": DatasetOptions(**options),
            }
        )
