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
        with urllib.request.urlopen(url, timeout=300) as answer:
            read: dict[str, Any] = json.load(answer)
        return read

    def restart_after_kill(self) -> None:
        """Kill the server as a power cut would, and start it again on the same folder."""
        os.kill(self.server.process.pid, signal.SIGKILL)
        self.server.process.wait(300)
        self.server = self.conftest.start_server(self.home, self.home.parent / "second.log")


@pytest.fixture(scope="module")
def platform(conftest: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
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
    worker.wait(300)
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


# The call, what the program noted of it, and what that is, or has in it.
SEEN = (
    ("Roboflow: wrong key", "wrong key", "not authorized"),
    ("Roboflow.workspace", "workspace", "default"),
    ("create_project", "created", "default/roads"),
    ("generate_version of nothing is refused", "empty", "no labelled image"),
    ("single_upload with COCO annotations, twice", "again", [True, True]),
    ("single_upload of another annotation", "annotated", {"warn": "already annotated"}),
    ("single_upload, annotation_overwrite", "replaced", {"success": True}),
    ("single_upload of a broken photo is refused", "broken", "Could not load input image"),
    ("search by tag", "found", ["3.png"]),
    ("search_all, in pages", "pages", [4, 2]),
    ("image", "image", ["1.png", "train", ["1", "day"], ["road", "tree"]]),
    ("get_batches", "batches", [["first batch", COUNT]]),
    ("update_image_metadata", "tags", ["1", "day", "night"]),
    ("delete_images; splits of the project", "splits", {"train": 3, "valid": 2, "test": 0}),
    ("classes of the project", "classes", {"road": 5, "tree": 5}),
    ("generate_version, versions", "versions", ["1"]),
    ("exports of a version", "exports", ["coco", "png-mask-semantic"]),
    ("models of a version", "models", 0),
)


@pytest.fixture(scope="module")
def version(clients_python: str, version_of: Callable[[str, str], str]) -> str:
    return version_of(clients_python, "roboflow")


@pytest.fixture
def tells_package(tells: Callable[..., None], version: str) -> Callable[[str], None]:
    """Say which line of the compatibility table of the package the test decides."""
    return lambda call: tells("roboflow", version, call)


@pytest.mark.parametrize(("call", "name", "expected"), SEEN, ids=lambda value: str(value)[:30])
def test_the_package_sees_what_it_did(
    journey: tuple[Path, dict[str, Any]],
    tells_package: Callable[[str], None],
    call: str,
    name: str,
    expected: Any,
) -> None:
    tells_package(call)
    seen = journey[1][name]
    assert expected in seen if isinstance(expected, str) else expected == seen


@pytest.mark.parametrize("kind", ["png-mask-semantic", "coco"])
def test_a_download_reads_back_to_the_same_masks(
    journey: tuple[Path, dict[str, Any]],
    platform: Platform,
    tells_package: Callable[[str], None],
    kind: str,
) -> None:
    tells_package(f"download of a version as {kind}")
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
        (["image", "delete", "{1},absent", "-p", "roads"], '"skipped": 1'),
        (["image", "metadata", "{1},{2}", "--tags", "seen", "--poll"], '"succeeded": 2'),
        (["workspace", "get"], "default"),
        (["train", "list", "roads/1"], "trainings"),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, list) else "",
)
def test_the_command_line(
    journey: tuple[Path, dict[str, Any]],
    platform: Platform,
    clients_python: str,
    tells_package: Callable[[str], None],
    command: list[str],
    said: str,
) -> None:
    tells_package(f"command line: {' '.join(command)}")
    program = Path(clients_python).with_name("roboflow")
    for number, image_id in journey[1]["ids"].items():
        command = [word.replace(f"{{{number}}}", image_id) for word in command]
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


def test_a_version_with_every_step_is_made(
    journey: tuple[Path, dict[str, Any]],
    platform: Platform,
    clients_python: str,
    tells_package: Callable[[str], None],
) -> None:
    tells_package("generate_version with every preprocessing and augmentation")
    folder, _ = journey
    run_client(platform, clients_python, "roboflow_generate.py", folder, folder / "steps.json")
    seen = json.loads((folder / "steps.json").read_text())
    assert "'degrees' is '181'; give a number from 0 to 180" in seen["refused"]
    assert seen["splits"] == {"train": 2 * 4 * 3, "valid": 4, "test": 0}
    assert {"cutout", "mosaic", "shear"} <= set(seen["steps"])
    dataset = open_dataset(folder / "steps")
    assert dataset.classes.names == ("background", "street", "tree")
    samples = [sample for members in dataset.splits.values() for sample in members]
    assert len(samples) == 28
    for sample in samples:
        image, label_map = sample.read()
        assert image.shape == (40, 40, 3)
        assert set(np.unique(label_map)) <= {0, 1, 2, 255}


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
            with urllib.request.urlopen(url, timeout=300) as answer:
                assert len(answer.read()) == int(answer.headers["content-length"])


def test_every_format_and_a_zip_of_masks(
    platform: Platform,
    clients_python: str,
    tmp_path: Path,
    tells_package: Callable[[str], None],
) -> None:
    tells_package("annotations as VOC, CVAT, LabelMe, YOLO; upload_dataset of masks as a zip")
    files = platform.conftest.load_beside("format_files")
    files.write_labels(tmp_path / "labels")
    files.write_masks(tmp_path / "masks", {"train": (10, 11), "valid": (12,)}, mask_of)
    run_client(platform, clients_python, "roboflow_formats.py", tmp_path, tmp_path / "seen.json")
    seen = json.loads((tmp_path / "seen.json").read_text())
    for name in files.ANNOTATIONS:
        assert seen[name] == {"success": True}
    assert seen["zip"]["status"] == "completed"
    assert [fault["file"] for fault in seen["zip"]["result"]["faults"]] == ["train/broken.jpg"]
    assert seen["zip"]["result"]["labels"] == 3
    assert seen["classes"] == {"road": 3, "tree": 7}
    assert seen["splits"] == {"train": 7, "valid": 1, "test": 0}
    dataset = open_dataset(tmp_path / "yolo-seg")
    assert dataset.format == "yolo-seg"
    to_own = np.array([dataset.classes.names.index(name) for name in NAMES], np.uint8)
    samples = [sample for split in dataset.splits.values() for sample in split]
    for sample in samples:
        number = int(sample.name.partition("_")[0])
        drawn = mask_of(number) if number >= 10 else files.quarter_of(number, NAMES.index("tree"))
        assert np.array_equal(sample.read_label_map(), to_own[drawn]), sample.name


@pytest.mark.slow
def test_a_version_is_trained_and_its_model_predicts(
    journey: tuple[Path, dict[str, Any]],
    platform: Platform,
    clients_python: str,
    read_mask: Callable[[str], np.ndarray],
    tells_package: Callable[[str], None],
) -> None:
    tells_package("train, and predict with what was trained")
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
