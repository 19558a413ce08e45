"""Synthetic rows for `platform_scale.py`: a project of many labelled photos, without the photos."""

import random
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Table, insert

from atrous.store import Store
from atrous.store.database import Database
from atrous.store.dataset_tables import batches, image_tags, images, label_classes, labels
from atrous.store.projects import Project

WORDS = ("street", "field", "river", "Harbour", "forest", "roof", "tunnel", "bridge")
CLASSES = ("road", "tree", "water", "building", "sky", "car", "person", "boat")
RARE_NAME, RARE_TAG = "Needle", "rare"
RARE_EVERY = 10_000  # one photo of so many has the rare name and tag
BATCHES = 50
ROWS_AT_ONCE = 5_000
EPOCH_S = 1_700_000_000.0

Row = dict[str, Any]


def fill_project(store: Store, database: Database, count: int, seed: int) -> Project:
    """A project of `count` photos: half tagged `night`, a tenth `rain`; three classes each."""
    workspace = store.workspaces.default()
    project = store.projects.create(
        workspace.id, "Scale", kind="semantic-segmentation", annotation="surface"
    )
    store.projects.number_classes(project, CLASSES)
    owner = {"workspace_id": project.workspace_id, "project_id": project.id}
    batch_rows = [
        {"id": f"{index:032x}", "name": f"batch {index}", "created_at": EPOCH_S, **owner}
        for index in range(BATCHES)
    ]
    with database.write() as connection:
        connection.execute(insert(batches), batch_rows)
    draw = random.Random(seed)
    for start in range(0, count, ROWS_AT_ONCE):
        numbers = range(start, min(start + ROWS_AT_ONCE, count))
        with database.write() as connection:
            for table, rows in _rows(numbers, owner, draw).items():
                if rows:
                    connection.execute(insert(table), rows)
    return project


def _rows(numbers: range, owner: Row, draw: random.Random) -> dict[Table, list[Row]]:
    found: dict[Table, list[Row]] = {images: [], image_tags: [], labels: [], label_classes: []}
    project_id = {"project_id": owner["project_id"]}
    for number in numbers:
        image_id = f"{draw.getrandbits(128):032x}"
        labelled = draw.random() < 0.9
        image = _image(number, image_id, labelled, owner, draw)
        found[images].append(image)
        of_image = {"image_id": image_id, "uploaded_at": image["created_at"], **project_id}
        found[image_tags] += [{**of_image, "tag": tag} for tag in _tags(number, draw)]
        if labelled:
            digest = f"{number + (1 << 200):064x}"
            label = {"kind": "label", "digest": digest, "name": "a.json", "created_at": EPOCH_S}
            found[labels].append({"image_id": image_id, **owner, **label})
            for class_number in draw.sample(range(1, len(CLASSES) + 1), 3):
                shown = {"kind": "label", "number": class_number, "pixels": 1000}
                found[label_classes].append({**of_image, **shown})
    return found


def _image(number: int, image_id: str, labelled: bool, owner: Row, draw: random.Random) -> Row:
    word = RARE_NAME if number % RARE_EVERY == 0 else draw.choice(WORDS)
    name = f"{word}_{number:06}.jpg"
    return {
        "id": image_id,
        **owner,
        "batch_id": f"{number % BATCHES:032x}",
        "name": name,
        "folded_name": name.casefold(),
        "digest": f"{number:064x}",
        "thumb_digest": f"{number + (1 << 128):064x}",
        "media_type": "image/jpeg",
        "size_bytes": 250_000,
        "height": 1080,
        "width": 1920,
        "split": draw.choices(("train", "valid", "test"), (70, 20, 10))[0],
        "annotated": labelled,
        "in_dataset": labelled,
        "user_metadata": {"camera": "front"},
        "created_at": EPOCH_S + number // 8,  # eight photos came within one second
    }


def _tags(number: int, draw: random.Random) -> Iterator[str]:
    if draw.random() < 0.5:
        yield "night"
    if draw.random() < 0.1:
        yield "rain"
    if number % RARE_EVERY == 0:
        yield RARE_TAG
