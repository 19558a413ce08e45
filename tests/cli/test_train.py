import importlib.util
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import safetensors.torch
import torch
import typer

from atrous.cli.train import parse_duration, with_recipe_file
from atrous.datasets.detect import open_dataset
from atrous.training.configure import recipe_for
from atrous.training.run_folder import RunFolder

ROOT = Path(__file__).parents[2]
Run = Callable[..., tuple[int, str, str]]
pytestmark = pytest.mark.usefixtures("as_before")


@pytest.fixture(scope="module")
def tiny() -> ModuleType:
    spec = importlib.util.spec_from_file_location("tiny", ROOT / "tests" / "training" / "tiny.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def directory(tiny: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_tiny_set(tmp_path_factory.mktemp("tiny set") / "pictures")


def test_prints_the_model_alone_and_the_rest_on_standard_error(
    atrous: Run, tiny: ModuleType, directory: Path, home: Path
) -> None:
    code, out, err = atrous("train", directory, "--as", "cats", *tiny.OPTIONS)
    assert (code, out) == (0, "cats/1\n")
    assert f"run folder: {home}/runs/cats/0001" in err
    assert "RANDOM" in err
    assert err.count("validation mIoU") == 3  # of two epochs, and the best
    assert "test mIoU" in err
    code, out, _ = atrous("models", "list")
    assert "cats/1" in out


# `atrous`, but that its training waits after the second epoch, for Ctrl-C.
WAITS = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # who starts the tests may have it ignored
from atrous.cli.main import main
from atrous.cli.training_progress import TrainingBar
report = TrainingBar.report
def report_and_wait(bar, progress):
    report(bar, progress)
    if progress.results and progress.epoch == 2:
        time.sleep(3600)
TrainingBar.report = report_and_wait
main()
"""


@pytest.mark.slow
def test_ctrl_c_says_how_to_go_on(
    atrous: Run, tiny: ModuleType, directory: Path, home: Path
) -> None:
    command = ["train", str(directory), "--as", "cats", *tiny.OPTIONS, "--epochs", "4"]
    process = subprocess.Popen(
        [sys.executable, "-c", WAITS, *command],
        env={
            **os.environ,
            "ATROUS_HOME": str(home),
            "PYTHONPATH": str(ROOT / "src"),
            "OMP_NUM_THREADS": "1",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in process.stderr:
        if "epoch 2:" in line:
            process.send_signal(signal.SIGINT)
            break
    out, rest = process.communicate(timeout=300)
    assert (process.returncode, out) == (130, "")
    assert "Traceback" not in rest
    last = rest.splitlines()[-1]
    # On one line, however long the path is, and quoted: the folder's name has a space.
    assert last == f"stopped; go on with: atrous train '{directory}' --as cats --resume"
    code, out, err = atrous("train", directory, "--as", "cats", "--resume")
    assert (code, out) == (0, "cats/1\n")
    assert "epoch 1:" not in err
    assert "epoch 4:" in err
    code, out, err = atrous("train", directory, "--as", "cats", "--resume")
    assert (code, out) == (1, "")
    assert "no unfinished run of project cats" in err


@pytest.mark.parametrize(
    "wrong",
    [
        ["--time-budget", "20"],
        ["--time-budget", "soon"],
        ["--epochs", "0"],
        ["--epochs", "many"],
        ["--architecture", "unet"],
        ["--precision", "fp64"],
        ["--size", "3"],
        ["--seed", "-1"],
        ["--ignore-id", "256"],
        ["--classes", "a,b", "--classes-file", "names.txt"],
    ],
    ids=" ".join,
)
def test_wrong_usage(atrous: Run, directory: Path, home: Path, wrong: list[str]) -> None:
    code, out, err = atrous("train", directory, "--as", "cats", *wrong)
    assert (code, out) == (2, "")
    assert "Usage: atrous train" in err
    assert not home.exists()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (["--as", "../cats"], "project '../cats'"),
        (["--as", "cats", "--learning-rate", "-1"], "learning_rate is -1"),
        (["--as", "cats", "--time-budget", "0s"], "time_budget_s is 0"),
        (["--as", "cats", "--backbone", "resnet5000"], "no.*resnet5000"),
        (["--as", "cats", "--resume"], "no unfinished run"),
        (["--as", "cats", "--classes", "a,b"], "leave --classes out"),
    ],
    ids=" ".join,
)
def test_failures_are_one_line(
    atrous: Run, directory: Path, wrong: list[str], message: str
) -> None:
    code, out, err = atrous("train", directory, *wrong)
    assert (code, out) == (1, "")
    [line] = [line for line in err.splitlines() if line.startswith("error: ")]
    assert re.search(message, line)
    assert "a fault of atrous" not in err


def test_a_dry_run_prints_what_is_decided_and_writes_nothing(
    atrous: Run, tiny: ModuleType, directory: Path, home: Path, tmp_path: Path
) -> None:
    file = tmp_path / "given.json"
    file.write_text('{"loss": "ce + dice", "epochs": 7, "preprocess": {"padding_value": 9}}')
    command = ["train", directory, "--as", "cats", "--recipe", file, *tiny.OPTIONS, "--dry-run"]
    code, out, _ = atrous(*command)
    assert code == 0
    rows = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert rows["SETTING"].split() == ["VALUE", "WHY"]
    assert rows["loss"].endswith("given")
    assert rows["loss"].startswith("ce + dice")
    assert rows["epochs"].split() == ["2", "given"]  # the option goes before the file
    assert rows["crop"].startswith("64x64")
    assert not home.exists()
    assert atrous(*command, "--resume")[0] == 2


def test_a_start_that_does_not_fit_is_found_before_the_run(
    atrous: Run, tiny: ModuleType, directory: Path, home: Path, tmp_path: Path
) -> None:
    safetensors.torch.save_file({"stem.weight": torch.ones(3)}, tmp_path / "best.safetensors")
    command = ["train", directory, "--as", "cats", *tiny.OPTIONS]
    for start, said in (("best.safetensors", "tensors fit"), ("nosuch.pt", "there is no file")):
        for dry in (["--dry-run"], []):
            code, out, err = atrous(*command, "--start", tmp_path / start, *dry)
            assert (code, out, said in err) == (1, "", True)
    assert not (home / "runs" / "cats").exists()


def test_without_a_name_the_project_is_called_like_the_folder(
    atrous: Run, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr("atrous.cli.train._run", lambda request, _: asked.append(request.project))
    assert atrous("train", directory)[0] == 0
    (directory.parent / "My Cats").symlink_to(directory)
    assert atrous("train", f"{directory}/../My Cats/.")[0] == 0
    monkeypatch.chdir(directory)
    assert atrous("train", ".")[0] == 0
    assert asked == ["pictures", "my-cats", "pictures"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ('{"epocs": 3}', "epocs is no field; known are"),
        ('{"flip": 2}', "flip is 2; give a number from 0 to 1"),
        ("epochs: 3", "is no JSON"),
        ('{"loss": "huber"}', "there is no loss 'huber', only ce, ohem"),
        ('{"class_weights": [1, 2]}', "class_weights has 2 numbers; give 4"),
    ],
)
def test_a_recipe_file_that_makes_no_sense(
    atrous: Run, directory: Path, home: Path, tmp_path: Path, values: str, message: str
) -> None:
    (tmp_path / "given.json").write_text(values)
    code, out, err = atrous(
        "train", directory, "--as", "cats", "--recipe", tmp_path / "given.json", "--dry-run"
    )
    assert (code, out) == (1, "")
    assert message in err
    assert not home.exists()


def test_options_go_before_a_recipe_file(tmp_path: Path) -> None:
    file = tmp_path / "given.json"
    file.write_text('{"class_weights": [1, 2], "seed": 3, "pretrained": false, "flip": 0}')
    assert with_recipe_file(file, {"epochs": None, "balancing": None, "seed": None}) == {
        **{"balancing": "auto", "seed": 3, "pretrained": False, "flip": 0.0},
        "class_weights": (1.0, 2.0),
    }
    chosen = with_recipe_file(file, {"balancing": "enet", "seed": 0, "flip": 0.5})
    assert chosen == {"balancing": "enet", "seed": 0, "pretrained": False, "flip": 0.5}
    assert with_recipe_file(None, {"epochs": 2}) == {"balancing": "auto", "seed": 0, "epochs": 2}


def test_a_run_s_recipe_repeats_that_classes_weigh_the_same(
    tiny: ModuleType, directory: Path, tmp_path: Path
) -> None:
    """Of a set in which a class is rare, whose weights are otherwise balanced."""
    dataset = open_dataset(directory)
    pixels = [1000, 900, 10, 800][: len(dataset.classes)]
    found = []
    for number, balancing in enumerate(("none", None, "enet", None)):
        file = tmp_path / "recipe.json" if number else None
        options = {**tiny.CHOICES, "balancing": balancing, "seed": None}
        choices = with_recipe_file(file, options)
        recipe = recipe_for(dataset, class_pixels=pixels, **choices)
        RunFolder(tmp_path).create(recipe)
        found.append(recipe.class_weights)
    assert found[:2] == [None, None]
    assert found[2] == found[3] is not None
    assert recipe_for(dataset, class_pixels=pixels, **tiny.CHOICES).class_weights is not None
    (tmp_path / "recipe.json").write_text('{"class_weights": null}')
    weights = {"class_weights": (1.0, 2.0)}
    assert with_recipe_file(tmp_path / "recipe.json", weights)["class_weights"] == (1.0, 2.0)


def test_a_folder_for_runs_that_can_not_be_written(
    atrous: Run, directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("ATROUS_HOME", str(tmp_path / "file" / "home"))
    code, out, err = atrous("train", directory, "--as", "cats")
    assert (code, out) == (1, "")
    [line] = [line for line in err.splitlines() if line.startswith("error: ")]
    assert f"data folder {tmp_path / 'file' / 'home'} can't be written: Not a directory" in line
    assert "set ATROUS_HOME to a folder that can" in line


def test_a_folder_that_is_not_there(atrous: Run, tmp_path: Path) -> None:
    code, _, err = atrous("train", tmp_path / "nowhere", "--as", "cats")
    assert code in (1, 2)
    assert "nowhere" in err


def test_a_light_installation_says_what_is_missing(
    atrous: Run, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name in ("torch", "timm") else find_spec(name, *rest),
    )
    code, out, err = atrous("train", directory, "--as", "cats")
    assert (code, out) == (1, "")
    assert err == (
        "error: training needs torch, timm, which the light installation leaves out; "
        "run: pip install 'atrous[train]'\n"
    )


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("20m", 1200), ("1.5h", 5400), ("1h30m", 5400), ("1m1s", 61)],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["20", "m", "1d", "-5m", "1h 30m", "5mm", "1e3s", "½h", "1.m"])
def test_no_durations(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="write 90s, 20m or 1h30m"):
        parse_duration(text)
