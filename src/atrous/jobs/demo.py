"""The demo of a fresh installation: drawn shapes, and a model trained on them."""

from pathlib import Path

from atrous.datasets.shapes import write_shapes_dataset
from atrous.domain.geometry import Size
from atrous.jobs.training_request import TrainingRequest
from atrous.store.jobs import Job
from atrous.store.opening import Store

PROJECT = "shapes"
IMAGES = {"train": 240, "valid": 40, "test": 40}
SIZE = Size(128, 128)
FIRST_TEST_PHOTO = "shapes_0280.jpg"  # the name that a photo has before it is drawn
# Small batches and little change of scale: the pictures are few and alike.
CHOICES = {
    "epochs": 10,
    "batch_size": 6,
    "learning_rate": 2e-3,
    "scale_min": 0.75,
    "scale_max": 1.5,
    "seed": 0,
}


def demo_folder(home: Path) -> Path:
    """Where the demo's pictures lie."""
    return home / "demo" / PROJECT


def enqueue_demo(store: Store) -> Job | None:
    """Queue the demo in a store that has neither models nor jobs; None in any other."""
    if store.models.list() or store.jobs.list():
        return None
    return store.jobs.enqueue("demo", {}, workspace_id=store.workspaces.default().id)


def demo_request(home: Path) -> TrainingRequest:
    """The training of the demo; its pictures are drawn where they are missing."""
    folder = demo_folder(home)
    if not folder.exists():
        write_shapes_dataset(folder, images=IMAGES, size=SIZE)
    return TrainingRequest(folder, PROJECT, choices=dict(CHOICES))
