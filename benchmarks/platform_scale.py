"""Lists, searches, project pages and versions over 100,000 photos; parallel uploaders.

python benchmarks/platform_scale.py                    SQLite, 100,000 rows, some minutes
python benchmarks/platform_scale.py --rows 5000        fewer
python benchmarks/platform_scale.py --database URL     PostgreSQL: a new, empty database

Rows are synthetic, photos are none. Times are of the processor, so that what else the machine does
counts little, and of the clock. (Not `platform.py`: that would hide Python's module of the name.)
"""

import argparse
import io
import json
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from platform_rows import CLASSES, RARE_NAME, RARE_TAG, WORDS, fill_project
from rich.console import Console
from rich.table import Table
from serving.machine import machine_facts

from atrous.store import Store, open_store
from atrous.store.database import Database
from atrous.store.image_search import ImageQuery, Page
from atrous.store.images import NewImage
from atrous.store.photo_files import store_photo
from atrous.store.projects import Project

HERE = Path(__file__).parent
COMMON_NAME = WORDS[0]
BAR_MS = 100.0  # the 95th percentile of a page
UPLOADERS, UPLOADS_EACH = 10, 20
MAX_PIXELS = 1_000_000


def main() -> None:
    """Fill, measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=20, help="of each page")
    parser.add_argument("--database", help="URL; a SQLite file of its own where not given")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "platform_scale.json")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="atrous-scale-") as folder:
        home = Path(folder) / "home"
        url = options.database or f"sqlite:///{home / 'atrous.sqlite3'}"
        with open_store(home, database=url) as store:
            result = measure(store, Database(url), options.rows, options.runs)
    result["machine"] = machine_facts()
    show(result)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    problems = judge(result)
    print(*(problems or [f"PASSED: every page below {BAR_MS:.0f} ms, nothing lost"]), sep="\n")
    sys.exit(1 if problems else 0)


def judge(result: dict[str, Any]) -> list[str]:
    """What does not hold."""
    slow = {
        name: entry["cpu_p95_ms"]
        for name, entry in result["pages"].items()
        if entry["cpu_p95_ms"] >= BAR_MS
    }
    uploaders = result["uploaders"]
    return [
        *(f"FAILED: {name}: {took:.0f} ms, bar {BAR_MS:.0f}" for name, took in slow.items()),
        *([f"FAILED: {uploaders['lost']} photos lost"] if uploaders["lost"] else []),
        *([f"FAILED: uploads: {uploaders['failures'][:3]}"] if uploaders["failures"] else []),
    ]


def measure(store: Store, database: Database, rows: int, runs: int) -> dict[str, Any]:
    """All figures over a project of so many rows."""
    project = fill_project(store, database, rows, seed=1)
    works = page_works(store, project, rows)
    pages: dict[str, list[tuple[float, float]]] = {name: [] for name in works}
    for _ in range(runs):  # in turn, so that a busy moment hits all alike
        for name, work in works.items():
            pages[name].append(_timed(work))
    version = [_timed(lambda: _create_version(store, project)) for _ in range(3)]
    return {
        "rows": rows,
        "pages": {name: _figures(times) for name, times in pages.items()},
        "version creation": _figures(version),
        "uploaders": upload_in_parallel(store),
    }


def page_works(store: Store, project: Project, rows: int) -> dict[str, Callable[[], object]]:
    """What is measured, by name."""
    queries = {
        "list, first page": ImageQuery(),
        "list, deep": ImageQuery(offset=rows * 9 // 10),
        "text, common": ImageQuery(text=COMMON_NAME),
        "text, common, deep": ImageQuery(text=COMMON_NAME, offset=rows // 10),
        "text in all names, deep": ImageQuery(text=".jpg", offset=rows * 9 // 10),
        "text, rare": ImageQuery(text=RARE_NAME.lower()),
        "text, none": ImageQuery(text="nowhere"),
        "tag of half": ImageQuery(tag="night"),
        "tag of half, deep": ImageQuery(tag="night", offset=rows * 4 // 10),
        "tag, rare": ImageQuery(tag=RARE_TAG),
        "class": ImageQuery(class_name=CLASSES[0]),
        "class, deep": ImageQuery(class_name=CLASSES[0], offset=rows * 3 // 10),
        "class and split": ImageQuery(class_name=CLASSES[0], split="valid"),
        "class and tag": ImageQuery(class_name=CLASSES[0], tag="night"),
        "tag and text": ImageQuery(tag="night", text=COMMON_NAME),
        "class, tag and text": ImageQuery(class_name=CLASSES[0], tag="night", text=COMMON_NAME),
        "split": ImageQuery(split="valid"),
        "not annotated": ImageQuery(annotated=False),
        "batch": ImageQuery(batch_id=f"{7:032x}"),
        "data set, deep": ImageQuery(in_dataset=True, offset=rows * 8 // 10),
    }

    def search(query: ImageQuery) -> Callable[[], object]:
        return lambda: store.image_search.find(project, query)

    works: dict[str, Callable[[], object]] = {name: search(q) for name, q in queries.items()}
    works["project page"] = lambda: (store.projects.counts(project), store.versions.list(project))
    works["batches"] = lambda: store.images.batches(project)
    return works


def _create_version(store: Store, project: Project) -> None:
    store.versions.create(project, preprocessing={}, augmentation={}, seed=1)


def _timed(work: Callable[[], object]) -> tuple[float, float]:
    """Milliseconds of the processor and of the clock."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return (time.process_time() - cpu) * 1e3, (time.perf_counter() - wall) * 1e3


def _figures(times: list[tuple[float, float]]) -> dict[str, float]:
    found = {}
    for index, kind in enumerate(("cpu", "wall")):
        ordered = sorted(entry[index] for entry in times)
        found[f"{kind}_median_ms"] = round(statistics.median(ordered), 2)
        found[f"{kind}_p95_ms"] = round(ordered[min(len(ordered) * 95 // 100, len(ordered) - 1)], 2)
    return found


def upload_in_parallel(store: Store) -> dict[str, Any]:
    """Several threads add photos, every second one the same in all threads; what is missing?"""
    workspace = store.workspaces.default()
    project = store.projects.create(
        workspace.id, "Parallel", kind="semantic-segmentation", annotation="surface"
    )
    added: list[str] = []
    failures: list[str] = []

    def upload(at: int) -> None:
        for number in range(UPLOADS_EACH):
            seed = number if number % 2 else at * UPLOADS_EACH + number
            try:
                added.append(_add_photo(store, project, seed))
            except Exception as error:  # noqa: BLE001 - counted, and shown
                failures.append(repr(error))

    threads = [threading.Thread(target=upload, args=(at,)) for at in range(UPLOADERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    there: Page = store.image_search.find(project, ImageQuery(limit=250))
    for image in there.images:
        store.blobs.read(image.digest)
        store.blobs.read(image.thumb_digest)
    expected = UPLOADERS * UPLOADS_EACH // 2 + UPLOADS_EACH // 2
    lost = set(added) - {image.id for image in there.images}
    return {
        "photos": there.total,
        "expected": expected,
        "lost": len(lost) + expected - there.total,
        "failures": failures,
    }


def _add_photo(store: Store, project: Project, seed: int) -> str:
    pixels = np.random.default_rng(seed).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    photo = store_photo(buffer.getvalue(), store.blobs, max_pixels=MAX_PIXELS)
    new = NewImage(
        name=f"{seed}.png",
        digest=photo.digest,
        thumb_digest=photo.thumb_digest,
        media_type=photo.media_type,
        size_bytes=photo.size_bytes,
        height=photo.size.height,
        width=photo.size.width,
        split="train",
        batch="parallel",
    )
    return store.images.add(project, new)[0].id


def show(result: dict[str, Any]) -> None:
    """Print the table."""
    table = Table(title=f"{result['rows']} photos, ms")
    for column in ("page", "cpu median", "cpu p95", "wall median", "wall p95"):
        table.add_column(column, justify="left" if column == "page" else "right")
    for name, entry in {
        **result["pages"],
        "version creation": result["version creation"],
    }.items():
        table.add_row(name, *(f"{value:.1f}" for value in entry.values()))
    Console().print(table)


if __name__ == "__main__":
    main()
