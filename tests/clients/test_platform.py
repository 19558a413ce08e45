"""The official package, from an empty workspace to a version that reads back, and to a model."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from atrous.datasets.detect import open_dataset
from atrous.masks.rle import encode_rle

SIZE = (64, 96)  # height, width
COUNT = 6
NAMES = ("background", "road", "tree")


@dataclass
class Platform:
    """A server and a worker on a data folder of their own."""

    conftest: ModuleType
    home: Path
    server: Any
    worker: "subprocess.Popen[bytes]"

    def client_environment(self) -> dict[str, str]:
        names = (
            "API_URL",
            "APP_URL",
            "SEMANTIC_SEGMENTATION_URL",
            "OBJECT_DETECTION_URL",
            "INSTANCE_SEGMENTATION_URL",
            "SERVERLESS_URL",
        )
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home.parent),
            "TQDM_DISABLE": "true",
            "NO_PROXY": "127.0.0.1",
            "API_KEY": self.server.key,
            "RF_WORKSPACE": "default",  # as `auth login` keeps it
            "ROBOFLOW_API_KEY": self.server.key,
            **dict.fromkeys(names, self.server.url),
        }

    def get(self, path: str) -> dict[str, Any]:
        url = f"{self.server.url}{path}?api_key={self.server.key}"
        with urllib.request.urlopen(url, timeout=60) as answer:
            read: dict[str, Any] = json.load(answer)
        return read

    def restart_after_kill(self) -> None:
        """Kill the server as a power cut would, and start it again on the same folder."""
        os.kill(self.server.process.pid, signal.SIGKILL)
        self.server.process.wait(30)
        self.server = self.conftest.start_server(self.home, self.home.parent / "second.log")


@pytest.fixture(scope="module")
def platform(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Platform]:
    conftest = next(
        plugin
        for plugin in request.config.pluginmanager.get_plugins()
        if getattr(plugin, "__file__", "") == str(request.path.with_name("conftest.py"))
    )
    folder = tmp_path_factory.mktemp("platform")
    home = folder / "home"
    server = conftest.start_server(home, folder / "server.log")
    with (folder / "worker.log").open("wb") as log:
        worker = subprocess.Popen(
            [sys.executable, "-m", "atrous", "worker"],
            env=conftest.atrous_environment(home),
            stdout=log,
            stderr=log,
        )
    started = Platform(conftest, home, server, worker)
    yield started
    worker.terminate()
    worker.wait(60)
    assert conftest.stop_server(started.server) == 0
    for name in ("server.log", "worker.log"):
        assert "Traceback" not in (folder / name).read_text()


def mask_of(number: int) -> np.ndarray:
    """Blocks of classes, as labels are."""
    blocks = np.random.default_rng(number).integers(0, len(NAMES), (8, 12), dtype=np.uint8)
    return np.kron(blocks, np.ones((8, 8), np.uint8))


def write_photos(folder: Path) -> None:
    """Photos, one annotation file over all of them, and one with another label for the first."""
    colors = np.array([[40, 40, 40], [200, 60, 60], [60, 200, 60]], np.uint8)
    for number in range(COUNT):
        Image.fromarray(colors[mask_of(number)]).save(folder / f"{number}.png")
    all_masks = {number: mask_of(number) for number in range(COUNT)}
    (folder / "_annotations.coco.json").write_text(json.dumps(coco_of(all_masks)))
    (folder / "other.coco.json").write_text(json.dumps(coco_of({0: mask_of(100)})))
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut off")


def coco_of(masks: dict[int, np.ndarray]) -> dict[str, Any]:
    height, width = SIZE
    categories = [{"id": 0, "name": "surface", "supercategory": "none"}]
    categories += [
        {"id": number, "name": name, "supercategory": "surface"}
        for number, name in enumerate(NAMES)
        if number
    ]
    annotations = [
        {
            "id": 10 * image + number,
            "image_id": image,
            "category_id": number,
            "segmentation": encode_rle(mask == number),
        }
        for image, mask in masks.items()
        for number in (1, 2)
    ]
    images = [
        {"id": image, "file_name": f"{image}.png", "height": height, "width": width}
        for image in masks
    ]
    content = {"images": images, "annotations": annotations, "categories": categories}
    return {"info": {}, "licenses": [], **content}


@pytest.fixture(scope="module")
def journey(
    platform: Platform, clients_python: str, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    """The folder of the photos, and what the package saw."""
    folder = tmp_path_factory.mktemp("photos")
    write_photos(folder)
    run_client(platform, clients_python, "roboflow_platform.py", folder, folder / "seen.json")
    return folder, json.loads((folder / "seen.json").read_text())


def run_client(platform: Platform, python: str, program: str, *arguments: Any) -> None:
    done = subprocess.run(
        [python, "-W", "ignore", str(platform.conftest.PROGRAMS / program), *map(str, arguments)],
        env=platform.client_environment(),
        cwd=platform.home.parent,
        capture_output=True,
        text=True,
        timeout=1200,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_package_sees_what_it_did(journey: tuple[Path, dict[str, Any]]) -> None:
    _, seen = journey
    assert "not authorized" in seen["wrong key"]
    assert seen["workspace"] == "default"
    assert seen["created"] == "default/roads"
    assert "no labelled image" in seen["empty"]
    assert seen["again"] == [True, True]
    assert seen["annotated"] == {"warn": "already annotated"}
    assert seen["replaced"] == {"success": True}
    assert "Could not load input image" in seen["broken"]
    assert seen["found"] == ["3.png"]
    assert seen["pages"] == [4, 2]
    assert seen["image"] == ["1.png", "train", ["1", "day"], ["road", "tree"]]
    assert seen["batches"] == [["first batch", COUNT]]
    assert seen["tags"] == ["1", "day", "night"]
    assert seen["splits"] == {"train": 3, "valid": 2, "test": 0}
    assert seen["classes"] == {"road": 5, "tree": 5}
    assert seen["versions"] == ["1"]
    assert seen["exports"] == ["coco", "png-mask-semantic"]
    assert seen["models"] == 0


@pytest.mark.parametrize("kind", ["png-mask-semantic", "coco"])
def test_a_download_reads_back_to_the_same_masks(
    journey: tuple[Path, dict[str, Any]], platform: Platform, kind: str
) -> None:
    folder, _ = journey
    checked = platform.conftest.run(
        [sys.executable, "-m", "atrous", "check", str(folder / kind)],
        platform.conftest.atrous_environment(platform.home),
    )
    assert checked
    dataset = open_dataset(folder / kind)
    assert dataset.classes.names == NAMES
    samples = {
        int(sample.name.partition("_")[0]): (split, sample)
        for split, members in dataset.splits.items()
        for sample in members
    }
    assert sorted(samples) == [0, 1, 2, 4, 5]
    for number, (split, sample) in samples.items():
        assert split == ("valid" if number in (4, 5) else "train")
        expected = mask_of(100 if number == 0 else number)
        assert np.array_equal(sample.read_label_map(), expected)
        assert sample.image.read_bytes() == (folder / f"{number}.png").read_bytes()


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["project", "list"], "default/roads"),
        (["project", "get", "roads"], "Roads"),
        (["version", "list", "-p", "roads"], "1"),
        (["version", "get", "1", "-p", "roads"], "default/roads/1"),
        (["version", "export", "1", "-p", "roads", "-f", "coco"], "coco"),
        (["image", "search", "*", "-p", "roads"], "1.png"),
        (["workspace", "get"], "default"),
        (["train", "list", "roads/1"], "trainings"),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, list) else "",
)
def test_the_command_line(
    journey: tuple[Path, dict[str, Any]],
    platform: Platform,
    clients_python: str,
    command: list[str],
    said: str,
) -> None:
    program = Path(clients_python).with_name("roboflow")
    done = subprocess.run(
        [str(program), "--json", *command],
        env=platform.client_environment(),
        cwd=platform.home.parent,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert said in done.stdout


def test_everything_is_there_after_a_kill(
    journey: tuple[Path, dict[str, Any]], platform: Platform
) -> None:
    before = platform.get("/default/roads")
    platform.restart_after_kill()
    after = platform.get("/default/roads")
    assert after["project"] == before["project"]
    assert [version["id"] for version in after["versions"]] == ["default/roads/1"]
    for image_id in journey[1]["ids"].values():
        if image_id == journey[1]["ids"]["3"]:
            continue
        urls = platform.get(f"/default/roads/images/{image_id}")["image"]["urls"]
        for url in urls.values():
            with urllib.request.urlopen(url, timeout=60) as answer:
                assert len(answer.read()) == int(answer.headers["content-length"])


@pytest.mark.slow
def test_a_version_is_trained_and_its_model_predicts(
    journey: tuple[Path, dict[str, Any]],
    platform: Platform,
    clients_python: str,
    read_mask: Callable[[str], np.ndarray],
) -> None:
    folder, _ = journey
    photo, report = folder / "0.png", folder / "trained.json"
    run_client(platform, clients_python, "roboflow_train.py", photo, report)
    seen = json.loads(report.read_text())
    assert seen["model"] == ["roads/1", "deeplabv3plus-sem"]
    assert 0 <= seen["metrics"]["mIoU"] <= 1
    assert seen["trainings"] == ["finished"]
    prediction = seen["prediction"]
    assert read_mask(prediction["segmentation_mask"]).shape == SIZE
    assert list(prediction["class_map"].values()) == list(NAMES)
    assert report.with_suffix(".jpg").stat().st_size > 0
