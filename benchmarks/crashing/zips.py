"""Photos that come by zip, and zips of what a search finds."""

import io
import time
import zipfile
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

from crashing.client import Client, Unanswered
from crashing.ledger import Ledger, SearchExport, Upload
from crashing.photos import CLASSES, as_png, draw_label, draw_photo

ZIPPED = "zipped"  # a project's slug
PHOTOS = 16  # in a zip
PAGE = 250
POLL_S = 0.3
FORMAT = "png-mask-semantic"


@dataclass(frozen=True)
class _Photo:
    file: bytes
    label: UInt8[np.ndarray, "height width"]


def send_zip(client: Client, ledger: Ledger, draw: np.random.Generator, number: int) -> bool:
    """Send a zip and wait until it is imported; every photo of it counts as acknowledged then.

    False where its job was given up.
    """
    photos = {
        f"zip_{number}_{at}.png": _Photo(as_png(draw_photo(draw)), draw_label(draw))
        for at in range(PHOTOS)
    }
    task = client.send("POST", f"/default/{ZIPPED}/upload/zip").json()
    try:
        client.send("PUT", task["signedUrl"], content=_zipped(photos))
    except Unanswered as error:
        if "409" not in str(error):  # it came, and the answer did not
            raise
    while True:
        status = client.get(f"/default/upload/zip/{task['taskId']}")
        if status["status"] == "completed":
            break
        if status["status"] == "failed":
            ledger.failure(f"zip {number}", status["error"])
            return False
        time.sleep(POLL_S)
    known = status["result"]["images"] + status["result"]["duplicates"], status["result"]["labels"]
    if known != (PHOTOS, PHOTOS) or status["result"]["faults"]:
        ledger.problem(f"zip {number} has {PHOTOS} photos, and became {status['result']}")
    _note_photos(client, ledger, photos)
    with ledger.lock:
        ledger.zips += 1
    return True


def export_search(client: Client, ledger: Ledger) -> None:
    """Ask for all photos that came by zip, and wait for the link to theirs."""
    body = {"query": f"project:{ZIPPED}", "format": FORMAT}
    number = client.send("POST", "/default/search/export", json=body).json()["link"]
    while True:
        try:
            export = client.get(f"/default/search/export/{number}")
        except Unanswered as error:
            ledger.failure(f"search export {number}", str(error))
            return
        if export["ready"]:
            with ledger.lock:
                ledger.searches[number] = SearchExport(export["link"], export["images"])
            return
        time.sleep(POLL_S)


def _zipped(photos: dict[str, _Photo]) -> bytes:
    buffer = io.BytesIO()
    rows = [f"{number}, {name}\n" for number, name in enumerate(CLASSES)]
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("train/_classes.csv", "".join(["Pixel Value, Class\n", *rows]))
        for name, photo in photos.items():
            archive.writestr(f"train/{name}", photo.file)
            archive.writestr(f"train/{name.removesuffix('.png')}_mask.png", as_png(photo.label))
    return buffer.getvalue()


def _note_photos(client: Client, ledger: Ledger, photos: dict[str, _Photo]) -> None:
    """Find the ids that a zip's photos got, by their names."""
    found: dict[str, str] = {}
    offset = 0
    while True:
        body = {"offset": offset, "limit": PAGE, "fields": ["id", "name"]}
        page = client.send("POST", f"/default/{ZIPPED}/search", json=body).json()["results"]
        found.update((entry["name"], entry["id"]) for entry in page)
        offset += len(page)
        if len(page) < PAGE:
            break
    for name, photo in photos.items():
        if name not in found:
            ledger.problem(f"{name} of a zip that was imported is not there")
            continue
        with ledger.lock:
            upload = Upload(ZIPPED, found[name], photo.file, photo.label)
            ledger.uploads[upload.image_id] = upload
