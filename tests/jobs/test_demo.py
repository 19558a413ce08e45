import subprocess
import sys
from pathlib import Path

import pytest

from atrous.datasets.detect import open_dataset
from atrous.domain.geometry import Size
from atrous.domain.recipes import TrainingRecipe
from atrous.jobs import demo
from atrous.jobs.demo import demo_folder, demo_request, enqueue_demo
from atrous.packages.directory import ModelPackage
from atrous.store.opening import Store

SOURCE = Path(__file__).parents[2] / "src"


def test_queued_once_on_an_empty_store(store: Store) -> None:
    job = enqueue_demo(store)
    assert job is not None
    assert (job.kind, job.state) == ("demo", "queued")
    assert enqueue_demo(store) is None
    store.jobs.cancel(job.id)
    assert enqueue_demo(store) is None  # whoever cancelled it does not want it
    assert len(store.jobs.list()) == 1


def test_not_queued_beside_a_model(store: Store, package: ModelPackage) -> None:
    store.models.publish("cats", package.folder, workspace_id=store.workspaces.default().id)
    assert enqueue_demo(store) is None


def test_pictures_are_drawn_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "IMAGES", {"train": 3, "valid": 1, "test": 1})
    monkeypatch.setattr(demo, "SIZE", Size(48, 48))
    request = demo_request(tmp_path)
    assert request.directory == demo_folder(tmp_path)
    assert request.project == "shapes"
    dataset = open_dataset(request.directory)
    assert {split: len(samples) for split, samples in dataset.splits.items()} == demo.IMAGES
    picture = dataset.splits["train"][0].image
    drawn_at = picture.stat().st_mtime_ns
    assert demo_request(tmp_path) == request
    assert picture.stat().st_mtime_ns == drawn_at


def test_the_greetings_photo_is_one_of_the_test_split() -> None:
    before = demo.IMAGES["train"] + demo.IMAGES["valid"]
    assert f"shapes_{before:04d}.jpg" == demo.FIRST_TEST_PHOTO


def test_choices_are_fields_of_a_recipe(tmp_path: Path) -> None:
    demo_folder(tmp_path).mkdir(parents=True)
    assert set(demo_request(tmp_path).choices) <= set(TrainingRecipe.__dataclass_fields__)


def test_can_be_queued_without_torch() -> None:
    """`atrous up` does so, before its server starts."""
    code = "import sys, atrous.jobs.demo; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=SOURCE).returncode == 0
