"""A client of the platform, its key, and pictures with labels."""

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from atrous.jobs.dataset_child import run as run_job
from atrous.masks.rle import encode_rle
from atrous.store import Store

SIZE = (24, 32)  # height, width
FIGURES = {
    "photos": 2,
    "miou": 0.4,
    "pixel_accuracy": 0.9,
    "classes": [
        {"name": "background", "iou": 0.7, "precision": 0.8, "recall": 0.9, "pixels": 990},
        {"name": "road", "iou": 0.1, "precision": 0.5, "recall": None, "pixels": 5},
    ],
    "confusion_matrix": [[900, 90], [4, 1]],
    "photo_figures": [
        {"name": f"{number}.png", "miou": 0.5, "right": 3, "labelled": 5, "predicted": 4}
        for number in range(2)
    ],
    "sweep": [{"confidence": 0, "miou": 0.4, "precision": 0.6, "recall": 0.7, "f1": 0.6}],
    "worst_photos": [{"name": "0.png", "miou": 0.1}],
    "recommended_parameters": {"confidence": 0.35, "per_class_confidence": {"road": 0.2}},
}
RESULT = {
    "class_names": ["background", "road"],
    "splits": {"valid": FIGURES, "test": {**FIGURES, "miou": 0.3}},
}


@dataclass(frozen=True)
class Api:
    """Calls with a key in the query, as the official client makes them."""

    http: TestClient
    key: str

    def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        parameters = {**options.pop("params", {}), "api_key": self.key}
        answer: httpx.Response = self.http.request(method, path, params=parameters, **options)
        return answer

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.call("GET", path, **options)

    def post(self, path: str, body: Any = None, **options: Any) -> httpx.Response:
        return self.call("POST", path, json=body, **options)

    def upload(self, data: bytes, name: str = "a.png", **params: Any) -> httpx.Response:
        return self.call(
            "POST",
            "/dataset/roads/upload",
            params={"batch": "first", **params},
            data={"name": name, "split": params.pop("split", "train")},
            files={"file": (name, data, "image/png")},
        )


def png_of(number: int) -> bytes:
    """A picture that no other number has."""
    pixels = np.random.default_rng(number).integers(0, 255, (*SIZE, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def mask_of(number: int, classes: int = 2) -> np.ndarray:
    """Its label map: 0 and the ids up to `classes`."""
    rng = np.random.default_rng(1000 + number)
    return rng.integers(0, classes + 1, SIZE, dtype=np.uint8)


def png_mask(label_map: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(label_map).save(buffer, "PNG")
    return buffer.getvalue()


def coco_of(masks: dict[str, np.ndarray], names: tuple[str, ...] = ("road", "tree")) -> str:
    """One COCO file over some pictures, an RLE for each class."""
    images, annotations = [], []
    for index, (file_name, label_map) in enumerate(masks.items()):
        height, width = label_map.shape
        images.append({"id": index, "file_name": file_name, "height": height, "width": width})
        for number in range(1, len(names) + 1):
            annotations.append(
                {
                    "id": len(annotations),
                    "image_id": index,
                    "category_id": number,
                    "segmentation": encode_rle(label_map == number),
                }
            )
    categories = [{"id": 0, "name": "things", "supercategory": "none"}]
    categories += [
        {"id": number, "name": name, "supercategory": "things"}
        for number, name in enumerate(names, start=1)
    ]
    content = {"images": images, "annotations": annotations, "categories": categories}
    return json.dumps({"info": {}, "licenses": [], **content})


@pytest.fixture
def api(client: TestClient, key: str) -> Api:
    return Api(client, key)


@pytest.fixture
def stranger(client: TestClient, store: Store) -> Api:
    """The key of another workspace."""
    other = store.workspaces.create("other")
    return Api(client, store.api_keys.create("stranger", other).plain_text)


@pytest.fixture
def key_with(client: TestClient, store: Store) -> Callable[..., Api]:
    """A key of the same workspace with these scopes alone."""

    def make(*scopes: str) -> Api:
        workspace = store.workspaces.default()
        created = store.api_keys.create("-".join(scopes), workspace, scopes=scopes)
        return Api(client, created.plain_text)

    return make


@pytest.fixture
def roads(api: Api) -> str:
    """A project; its path."""
    body = {"name": "Roads", "type": "semantic-segmentation", "license": "", "annotation": "x"}
    assert api.post("/default/projects", body).status_code == 200
    return "/default/roads"


@pytest.fixture
def labelled(api: Api, roads: str) -> list[str]:
    """Three pictures with labels, one of them for validation; their ids."""
    masks = {f"{number}.png": mask_of(number) for number in range(3)}
    ids = []
    for number in range(3):
        split = "valid" if number == 2 else "train"
        image_id = api.upload(png_of(number), f"{number}.png", split=split).json()["id"]
        answer = api.post(
            f"/dataset/roads/annotate/{image_id}",
            {"annotationFile": coco_of(masks), "labelmap": None},
            params={"name": "_annotations.coco.json"},
        )
        assert answer.json() == {"success": True}, answer.text
        ids.append(image_id)
    return ids


@pytest.fixture
def generate(api: Api, labelled: list[str], store: Store) -> Callable[..., None]:
    """Make a version of the three pictures, as the worker does."""

    def make(**steps: Any) -> None:
        body = {"preprocessing": steps, "augmentation": {}}
        assert api.post("/default/roads/generate", body).status_code == 200
        job = store.jobs.claim("w", ["generate"])
        assert job is not None
        store.jobs.finish(job.id, "w", run_job(job, "w", store))

    return make


@pytest.fixture
def train(api: Api, store: Store, package: Path) -> Callable[..., str]:
    """Start a training on the first version, and settle it with a model; its id."""

    def train_one(miou: float = 0.5) -> str:
        training_id: str = api.post("/default/roads/1/train", {}).json()["trainingId"]
        job = store.jobs.claim("w", ["train-version"])
        assert job is not None
        store.models.publish(
            "roads",
            package,
            workspace_id=job.workspace_id,
            version=1,
            facts={"architecture": "deeplabv3plus", "metrics": {"valid": {"miou": miou}}},
            training_id=training_id,
        )
        store.jobs.finish(job.id, "w", {"model_id": "roads/1", "miou": miou})
        return training_id

    return train_one


@pytest.fixture
def work_off(store: Store) -> Callable[[str], None]:
    """Run the oldest job of a kind, as the worker does."""

    def work(kind: str) -> None:
        job = store.jobs.claim("w", [kind])
        assert job is not None
        store.jobs.finish(job.id, "w", run_job(job, "w", store))

    return work


@pytest.fixture(scope="session")
def evaluation_result() -> dict[str, Any]:
    """What the job of an evaluation leaves."""
    return RESULT


@pytest.fixture(scope="session")
def made(zipped: Callable[[dict[str, bytes]], bytes]) -> SimpleNamespace:
    """The makers of pictures, masks, annotation files and zips."""
    return SimpleNamespace(
        png_of=png_of, mask_of=mask_of, png_mask=png_mask, coco_of=coco_of, zipped=zipped
    )
