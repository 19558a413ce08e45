import json
import subprocess
import sys
from pathlib import Path

import pytest

from atrous.datasets.detect import DatasetOptions
from atrous.jobs.training_request import TrainingRequest

SOURCE = Path(__file__).parents[2] / "src"


@pytest.mark.parametrize(
    "request_",
    [
        TrainingRequest(Path("/pictures"), "cats"),
        TrainingRequest(
            Path("/pictures"),
            "cats",
            DatasetOptions("folders", ("sky", "road"), None, 11, 3),
            skip_bad=True,
            max_side=320,
            choices={"epochs": 2, "time_budget_s": None},
        ),
        TrainingRequest(Path("a b"), "cats", DatasetOptions(classes_file=Path("/names.txt"))),
    ],
)
def test_survives_json(request_: TrainingRequest) -> None:
    assert TrainingRequest.from_json(json.loads(json.dumps(request_.to_json()))) == request_


def test_the_command_to_go_on_quotes_the_folder() -> None:
    request = TrainingRequest(Path("my pictures"), "cats")
    assert request.resume_command == "atrous train 'my pictures' --as cats --resume"


def test_can_be_queued_without_torch() -> None:
    code = "import sys, atrous.jobs.training_request; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=SOURCE).returncode == 0
