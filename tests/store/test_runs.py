import json
from pathlib import Path

import pytest

from atrous.store.runs import REQUEST, is_run, run_id_of, run_of_model


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "roads" / "0001"
    folder.mkdir(parents=True)
    (folder / REQUEST).write_text(json.dumps({"run_id": "a"}))
    return folder


def test_a_run_is_known_by_name_and_id(run: Path, tmp_path: Path) -> None:
    assert run_of_model(tmp_path, {"run": "roads/0001", "run_id": "a"}) == run
    assert run_of_model(tmp_path, {"run": "roads/0001", "run_id": "b"}) is None  # elsewhere
    assert run_of_model(tmp_path, {"run": "roads/0001"}) is None  # its folder was deleted
    assert run_of_model(tmp_path, {"run": "roads/0002", "run_id": "a"}) is None
    assert run_of_model(tmp_path, {}) is None


def test_runs_of_older_releases_have_no_id(run: Path, tmp_path: Path) -> None:
    (run / REQUEST).write_text("{}")
    assert run_id_of(run) is None
    assert run_of_model(tmp_path, {"run": "roads/0001"}) == run
    (run / REQUEST).unlink()
    assert is_run(run, None)
    assert not is_run(run, "a")
    assert not is_run(run.parent / "0002", None)
