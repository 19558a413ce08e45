"""The official package and command line from photos to predictions, in three releases.

A worker in this process makes versions, exports and evaluations as ever, and gives each training
a model whose answers are known; a real training is in test_platform.py.
"""

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from atrous.jobs.dataset_child import run as run_dataset_job
from atrous.masks.rle import encode_rle
from atrous.packages.directory import read_package
from atrous.store import Store, open_store
from atrous.store.image_search import ImageQuery
from atrous.store.jobs import Job

CLASSES = ("background", "red", "green", "blue")
KINDS = ("generate", "export", "export-search", "import-zip", "evaluate", "train-version")
OLD_RELEASES = ("1.4.0", "1.1.36")
LABELS = np.zeros((60, 80), np.uint8)
LABELS[5:25, 10:40], LABELS[30:55, 5:30], LABELS[20:50, 45:75] = 1, 2, 3
PALETTE = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8)
KEPT_RUNNING = "Waiting"  # trainings on this project begin and are not settled
RUNNING = "running"  # a file that says that one has begun


@dataclass(frozen=True)
class Platform:
    """A server, and a worker in a thread."""

    conftest: ModuleType
    server: Any
    folder: Path

    def environment(self, **more: str) -> dict[str, str]:
        """What `atrous connect` prints, and where the client may write."""
        printed = self.conftest.run(
            [sys.executable, "-m", "atrous", "connect", "--url", self.server.url]
            + ["--key", self.server.key],
            self.conftest.atrous_environment(self.folder / "home"),
        )
        pairs = (line.removeprefix("export ").partition("=") for line in printed.splitlines())
        return {
            **{name: value for name, _, value in pairs if name != "NO_PROXY"},
            "NO_PROXY": "127.0.0.1",
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "TQDM_DISABLE": "true",
            "API_KEY": self.server.key,
            **more,
        }

    def run(self, python: str, program: str, *arguments: Any, **more: str) -> None:
        done = subprocess.run(
            [python, "-W", "ignore", str(self.conftest.PROGRAMS / program), *map(str, arguments)],
            env=self.environment(**more),
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=1200,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def settle(store: Store, job: Job, package: Path) -> dict[str, Any]:
    """Run a job; a training is given its model at once."""
    if job.kind != "train-version":
        return run_dataset_job(job, "w", store)
    version = store.versions.by_id(job.workspace_id, job.payload["version_id"])
    project = store.projects.by_id(job.workspace_id, version.project_id)
    store.jobs.progress(job.id, "w", {"epochs": [{"epoch": 1, "miou": 0.5, "loss": 1.0}]})
    model_id = store.models.publish(
        project.slug,
        package,
        workspace_id=job.workspace_id,
        version=version.number,
        facts={**read_package(package).facts, "architecture": "deeplabv3plus"},
        training_id=job.payload["training_id"],
    )
    store.evaluations.create(store.trainings.by_id(job.workspace_id, job.payload["training_id"]))
    return {"model_id": str(model_id), "miou": 0.5}


def work(store: Store, folder: Path, stopping: threading.Event, failures: list[str]) -> None:
    """Settle jobs, but no training of the project whose trainings are to wait: those just run."""
    package = folder / "package"
    while not stopping.wait(0.05):
        job = store.jobs.claim("w", KINDS)
        if job is None:
            continue
        if job.kind == "train-version":
            version = store.versions.by_id(job.workspace_id, job.payload["version_id"])
            project = store.projects.by_id(job.workspace_id, version.project_id)
            if project.name == KEPT_RUNNING:
                (folder / RUNNING).touch()
                continue
        try:
            store.jobs.finish(job.id, "w", settle(store, job, package))
        except Exception as error:
            failures.append(f"{job.kind}: {error!r}")
            raise


@pytest.fixture(scope="module")
def platform(conftest: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    folder = tmp_path_factory.mktemp("models")
    package = folder / "package"
    environment = conftest.atrous_environment(folder / "home")
    conftest.run([sys.executable, str(conftest.WRITE_PACKAGE), str(package)], environment)
    stopping, failures = threading.Event(), list[str]()
    with (
        conftest.running_server(folder / "home", folder / "server.log") as server,
        open_store(folder / "home") as store,
    ):
        thread = threading.Thread(target=work, args=(store, folder, stopping, failures))
        thread.start()
        yield Platform(conftest, server, folder)
        stopping.set()
        thread.join()
    assert failures == []


@pytest.fixture(scope="module")
def photos(platform: Platform) -> Path:
    """A folder of three photos with labels."""
    folder = platform.folder / "photos"
    folder.mkdir()
    annotations, images = [], []
    for number in range(3):
        label_map = np.roll(LABELS, number, axis=1)
        Image.fromarray(PALETTE[label_map]).save(folder / f"{number}.png")
        height, width = label_map.shape
        file_name = f"{number}.png"
        images.append({"id": number, "file_name": file_name, "height": height, "width": width})
        annotations += [
            {
                "id": 10 * number + class_id,
                "image_id": number,
                "category_id": class_id,
                "segmentation": encode_rle(label_map == class_id),
            }
            for class_id in (1, 2, 3)
        ]
    categories = [{"id": 0, "name": "colours", "supercategory": "none"}]
    categories += [
        {"id": number, "name": name, "supercategory": "colours"}
        for number, name in enumerate(CLASSES)
        if number
    ]
    content = {"images": images, "annotations": annotations, "categories": categories}
    path = folder / "_annotations.coco.json"
    path.write_text(json.dumps({"info": {}, "licenses": [], **content}))
    return folder


def check_journey(seen: dict[str, Any], slug: str, read_mask: Any) -> None:
    assert seen["masks"] == ["0", "1", "2"]
    assert seen["trained"]
    assert seen["model"] == f"{slug}/1"
    prediction = seen["prediction"]
    assert list(prediction["class_map"].values()) == list(CLASSES)
    mask = read_mask(prediction["segmentation_mask"])
    assert (mask != LABELS).mean() < 0.1  # the client sends a JPEG, which blurs the edges


@pytest.fixture(scope="module")
def newest(platform: Platform, clients_python: str, photos: Path) -> dict[str, Any]:
    """What the newest release saw in project `colours`."""
    report = platform.folder / "newest.json"
    platform.run(clients_python, "roboflow_journey.py", photos, "Colours", report)
    seen: dict[str, Any] = json.loads(report.read_text())
    return seen


def test_the_newest_release(
    newest: dict[str, Any], read_mask: Any, tells: Callable[..., None]
) -> None:
    tells("roboflow", newest["release"], "train, models, predict, save, download weights")
    check_journey(newest, "colours", read_mask)
    assert newest["weights"] > 1000


@pytest.mark.parametrize("release", OLD_RELEASES)
def test_an_old_release(
    platform: Platform,
    clients_python: str,
    photos: Path,
    read_mask: Any,
    tells: Callable[..., None],
    release: str,
) -> None:
    libraries = Path(clients_python).parent.parent / f"roboflow-{release}"
    if not libraries.exists():
        pytest.skip(f"no {libraries}: `make test` installs it")
    tells("roboflow", release, "create, upload, generate, download, train, predict, save")
    slug = f"from-{release.replace('.', '-')}"
    report = platform.folder / f"{slug}.json"
    platform.run(
        clients_python,
        "roboflow_journey.py",
        photos,
        slug,
        report,
        PYTHONPATH=str(libraries),
    )
    seen = json.loads(report.read_text())
    assert seen["release"] == release
    check_journey(seen, slug, read_mask)


# Each command, and what its output must hold.
COMMANDS: tuple[tuple[str, str], ...] = (
    ("auth login --api-key {key}", "default"),
    ("auth status", "default"),
    ("workspace list", "default"),
    ("workspace get default", "default"),
    ("project list", "Colours"),
    ("project get colours", "semantic-segmentation"),
    ("project create Waiting --type semantic-segmentation", "waiting"),
    ("project health colours", '"unannotated": 0'),
    ("image upload {photos}/0.png -p waiting -a {photos}/_annotations.coco.json", "0.png"),
    ("image upload {photos} -p waiting --split valid", '"count": 3'),
    ("image upload {zip} -p waiting", '"completed"'),
    ("image search * -p waiting", "0.png"),
    ("image get {image} -p colours", '"urls"'),
    ("version create -p waiting --settings {settings}", "1"),
    ("version list -p colours", "default/colours/1"),
    ("version get 1 -p colours", "default/colours/1"),
    ("version export 1 -p colours -f coco", '"progress"'),
    ("version download colours/1 -f coco -l {folder}/by-cli", "by-cli"),
    ("train start -p waiting -v 1 -t deeplabv3plus --epochs 1", "training"),
    ("train list waiting/1", "training"),
    ("train stop waiting/1", "true"),
    ("train cancel waiting/1", "true"),
    ("train list colours/1", "finished"),
    ("train results colours/1", '"modelCount": 1'),
    ("train recipe -p colours -v 1 -t deeplabv3plus", "learning_rate"),
    ("model list -p colours", "colours/1"),
    ("model get colours/1", '"endpoint"'),
    ("model infer {photos}/0.png -m colours/1", "segmentation_mask"),
    ("eval list -p colours", '"done"'),
    ("eval get {evaluation}", "mIoU"),
    ("eval map-results {evaluation}", "semantic-segmentation"),
    ("eval confusion-matrix {evaluation}", '"pixels"'),
    ("eval performance-by-class {evaluation}", '"className": "red"'),
    ("eval confidence-sweep {evaluation}", '"optimalConfidence"'),
    ("eval image-predictions {evaluation}", '"truePositives"'),
    ("eval recommendations {evaluation}", '"recommendations"'),
    ("eval compare -p colours -v 1", '"onFrontier": true'),
    ("train delete colours/1", '"trash": true'),
    ("trash list", '"training"'),
    ("deployment list", "[]"),
    ("search class:red --export -d colours -f coco -l {folder}/found", "found"),
)


@pytest.fixture(scope="module")
def said(
    platform: Platform, clients_python: str, photos: Path, newest: dict[str, Any]
) -> list[dict[str, Any]]:
    """What the command line answered to all of them, one after another."""
    settings = platform.folder / "settings.json"
    settings.write_text(json.dumps({"preprocessing": {}, "augmentation": {}}))
    with open_store(platform.folder / "home") as store:
        workspace_id = store.workspaces.default().id
        project = store.projects.get(workspace_id, "colours")
        image = store.image_search.find(project, ImageQuery(limit=1)).images[0]
        while not (done := store.evaluations.list(workspace_id, project="colours")):
            threading.Event().wait(0.1)
        while store.evaluations.get(workspace_id, done[0].id).state in ("queued", "running"):
            threading.Event().wait(0.1)
    words = {
        "key": platform.server.key,
        "photos": str(photos),
        "settings": str(settings),
        "folder": str(platform.folder),
        "evaluation": done[0].id,
        "image": image.id,
        "zip": shutil.make_archive(str(platform.folder / "set"), "zip", photos),
    }
    lines = [["--json", *command.format(**words).split()] for command, _ in COMMANDS]
    start = [command.startswith("train start ") for command, _ in COMMANDS].index(True)
    lines.insert(start + 1, ["wait", "for", str(platform.folder / RUNNING)])
    commands, report = platform.folder / "commands.json", platform.folder / "said.json"
    commands.write_text(json.dumps(lines))
    platform.run(clients_python, "roboflow_cli.py", commands, report)
    answers: list[dict[str, Any]] = json.loads(report.read_text())
    return answers


@pytest.mark.parametrize("index", range(len(COMMANDS)), ids=[command for command, _ in COMMANDS])
def test_the_command_line(
    said: list[dict[str, Any]], newest: dict[str, Any], tells: Callable[..., None], index: int
) -> None:
    command, expected = COMMANDS[index]
    tells("roboflow", newest["release"], "command line: " + command.partition(" {")[0])
    answer = said[index]
    assert answer["code"] == 0, answer
    assert expected in answer["output"], answer


def test_what_models_reach_is_counted_in_pixels(said: list[dict[str, Any]]) -> None:
    """The model is right about every pixel of its own pictures."""
    index = [command for command, _ in COMMANDS].index("eval confusion-matrix {evaluation}")
    matrix = np.array(json.loads(said[index]["output"])["matrix"])
    assert matrix.sum() == np.trace(matrix) > 0


def test_a_written_config_is_all_that_the_command_line_needs(
    platform: Platform, clients_python: str, newest: dict[str, Any], tells: Callable[..., None]
) -> None:
    tells("roboflow", newest["release"], "command line after `atrous connect --write`")
    home = platform.folder / "fresh"
    home.mkdir()
    environment = {
        "HOME": str(home),
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(platform.conftest.ROOT / "src"),
    }
    connect = [sys.executable, "-m", "atrous", "connect", "--write", "--url", platform.server.url]
    platform.conftest.run([*connect, "--key", platform.server.key], environment)
    program = Path(clients_python).with_name("roboflow")
    bare = {"HOME": str(home), "PATH": os.environ["PATH"], "NO_PROXY": "127.0.0.1"}
    listed = platform.conftest.run([str(program), "--json", "project", "list"], bare)
    assert "default/colours" in listed
