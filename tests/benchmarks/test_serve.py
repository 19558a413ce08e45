"""Options of benchmarks/serve.py -> what is measured; and the packages that it makes."""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import serve
from rich.console import Console
from serving.cases import QUICK, Model
from serving.model_run import Plan, multiply_adds_of
from serving.worker_process import WorkerFailed

from atrous.packages.directory import read_package
from atrous.packages.manifest import build_manifest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SMALL_BACKBONE = "lcnet_035"


@pytest.fixture
def options(monkeypatch: pytest.MonkeyPatch):
    def read(*words: str) -> argparse.Namespace:
        monkeypatch.setattr(sys, "argv", ["serve.py", *words])
        return serve.read_options()

    return read


def test_without_options_all_random_cases_are_measured(options, tmp_path: Path) -> None:
    cases = serve.choose_cases(options(), tmp_path)
    assert len(cases) == 27
    assert {case.model.weights for case in cases} == {"random"}
    assert serve.make_plan(options()) == Plan()


def test_quick_is_one_case_and_short(options, tmp_path: Path) -> None:
    quick = options("--quick", "--peer-python", "peer/bin/python", "--seconds", "3")
    assert [case.name for case in serve.choose_cases(quick, tmp_path)] == [QUICK]
    plan = serve.make_plan(quick)
    assert plan.case_s == 3.0
    assert plan.peer_python == "peer/bin/python"
    of_round = sum(seconds + plan.single_s for _, seconds in plan.clients) + plan.single_s
    assert plan.client_rounds * of_round < 10


def test_a_case_that_is_not_there_is_an_error_that_lists_those_there(
    options, tmp_path: Path
) -> None:
    with pytest.raises(SystemExit, match="resnet50-21-1232x821"):
        serve.choose_cases(options("--case", "resnet18"), tmp_path)


def test_mean_iou_needs_a_trained_model(options) -> None:
    with pytest.raises(SystemExit):
        options("--data", "photos")


def test_a_made_package_is_measured_like_any_other(tmp_path: Path, options) -> None:
    folder = make_package(tmp_path / "made")
    package = read_package(folder)
    assert package.class_names == ("background", "class 1", "class 2")
    assert multiply_adds_of(folder) == package.manifest["multiply_adds"] > 10**7

    cases = serve.choose_cases(options("--quick", "--package", str(folder)), tmp_path)
    assert cases[-1].name == f"{SMALL_BACKBONE}-3-trained-1232x821"
    assert cases[-1].is_reference
    with pytest.raises(SystemExit, match="give its fp32 network as --package"):
        serve.choose_cases(options("--int8-package", str(folder)), tmp_path)


def test_quality_is_measured_first_and_on_classes_that_are_given(
    tmp_path: Path, options, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_package(tmp_path / "made")
    data = tmp_path / "data"
    for name in ("test", "testannot"):
        (data / name).mkdir(parents=True)
    grey = np.full((40, 60, 3), 90, np.uint8)
    mask = np.repeat(np.arange(4, dtype=np.uint8), 15)[None].repeat(40, axis=0)
    assert cv2.imwrite(str(data / "test" / "a.png"), grey)
    assert cv2.imwrite(str(data / "testannot" / "a.png"), mask)
    words = ("--quick", "--package", str(folder), "--data", str(data), "--work", str(tmp_path))

    def unreached(*_: object) -> None:
        raise AssertionError("minutes of measuring before the data set was read")

    options(*words)
    monkeypatch.setattr(serve, "measure_model", unreached)
    with pytest.raises(WorkerFailed, match="doesn't say its class names"):
        serve.main()

    named = options(*words, "--classes", "background,class 1,class 2", "--ignore-id", "3")
    quality = serve.measure_quality(named, tmp_path, Console(quiet=True))
    assert {name: figures["photos"] for name, figures in quality.items()} == {"fp32": 1, "bf16": 1}
    assert 0 <= quality["fp32"]["miou"] <= 1


def test_a_trained_package_takes_the_place_of_the_random_one(options, tmp_path: Path) -> None:
    write_words(tmp_path / "mine", "resnet50", 21)
    chosen = options("--case", "*-21-1232x821", "--package", str(tmp_path / "mine"))
    names = [case.name for case in serve.choose_cases(chosen, tmp_path) if case.is_reference]
    assert names == [
        "mobilenetv2_100-21-1232x821",
        "tf_efficientnet_lite0-21-1232x821",
        "resnet50-21-trained-1232x821",
    ]


def test_the_peer_gets_the_float_network_of_an_int8_package(tmp_path: Path) -> None:
    folder = tmp_path / "int8"
    write_words(folder, "resnet50", 21)
    model = serve.given_model(folder, "int8", tmp_path / "packages")
    assert model.peer_package == tmp_path / "packages" / "resnet50-21"
    float_one = Model("mine", "resnet50", 21, "trained", tmp_path / "mine", tmp_path / "mine")
    model = serve.given_model(folder, "int8", tmp_path / "packages", [float_one])
    assert model.package == folder
    assert model.peer_package == tmp_path / "mine"


def make_package(folder: Path) -> Path:
    """A package of three classes and random weights, made as serve.py makes it."""
    command = [sys.executable, "-m", "serving.random_packages", SMALL_BACKBONE, "3", str(folder)]
    subprocess.run(command, check=True, cwd=BENCHMARKS)
    return folder


def write_words(folder: Path, backbone: str, classes: int) -> None:
    """A package as far as its words go; its network is never opened."""
    folder.mkdir()
    (folder / "weights.onnx").write_bytes(b"")
    names = ["background", *(f"class {index}" for index in range(1, classes))]
    (folder / "class_names.txt").write_text("\n".join(names))
    config = {"model_architecture": "deep-lab-v3-plus", "task_type": "semantic-segmentation"}
    (folder / "model_config.json").write_text(json.dumps({**config, "backend_type": "onnx"}))
    (folder / "inference_config.json").write_text(
        json.dumps(
            {
                "network_input": {
                    "training_input_size": {"height": 512, "width": 512},
                    "color_mode": "rgb",
                    "resize_mode": "stretch",
                }
            }
        )
    )
    (folder / "manifest.json").write_bytes(
        build_manifest(folder, ("weights.onnx",), {"backbone": backbone})
    )
