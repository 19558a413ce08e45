"""Which folder of this machine is a training's run: every machine names its first one 0001."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

REQUEST = "request.json"


def run_id_of(folder: Path) -> str | None:
    """Give the id that a run got as it began; None where it is absent, or older than such ids."""
    request = folder / REQUEST
    if not request.is_file():
        return None
    run_id: str | None = json.loads(request.read_text()).get("run_id")
    return run_id


def is_run(folder: Path, run_id: str | None) -> bool:
    """Whether a folder is there and holds the run of this id, not another one of its name."""
    return folder.is_dir() and run_id_of(folder) == run_id


def run_of_model(runs: Path, facts: Mapping[str, Any]) -> Path | None:
    """Give the run that a model came of, by the model's facts; None where it is not here."""
    name = facts.get("run")
    if not isinstance(name, str) or not is_run(runs / name, facts.get("run_id")):
        return None
    return runs / name
