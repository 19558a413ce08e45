"""The work that goes on while processes are killed: uploads, labels, versions, trainings."""

import io
import threading
import time
from dataclasses import replace

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from crashing.client import Client, Stopped, Unanswered
from crashing.ledger import Ledger, Upload

CLASSES = "background,road,tree"
SIZE = (32, 48)  # height, width
SPLITS = ("train", "train", "valid", "test")
TRAINED, GROWING = "trained", "growing"  # project slugs: a small one, and one that always grows
GAVE_UP = "the worker stopped in the middle"
POLL_S = 0.3
FORMAT = "png-mask-semantic"


def make_projects(client: Client, ledger: Ledger, photos: int) -> None:
    """Both projects; the one that is trained gets its photos, the other one its first."""
    for name in (TRAINED, GROWING):
        client.send(
            "POST",
            "/default/projects",
            json={"name": name, "type": "semantic-segmentation", "annotation": "surface"},
        )
    upload_labelled(client, ledger, GROWING, np.random.default_rng(photos), photos)
    for number in range(photos):
        upload_labelled(client, ledger, TRAINED, np.random.default_rng(number), number)


def upload_labelled(
    client: Client, ledger: Ledger, project: str, draw: np.random.Generator, number: int
) -> None:
    """Upload one photo of noise and label it, noting each acknowledgement."""
    file = _png(draw.integers(0, 256, (*SIZE, 3), dtype=np.uint8))
    label = np.zeros(SIZE, np.uint8)
    label[: SIZE[0] // 2, : SIZE[1] // 2] = 1
    label[draw.integers(0, SIZE[0]) :, SIZE[1] // 2 :] = 2
    answer = client.send(
        "POST",
        f"/dataset/{project}/upload",
        params={"batch": "crash", "tag": "noise"},
        data={"name": f"{number}.png", "split": SPLITS[number % len(SPLITS)]},
        files={"file": (f"{number}.png", file, "image/png")},
    )
    upload = Upload(project, answer.json()["id"], file)
    with ledger.lock:
        ledger.uploads[upload.image_id] = upload
    client.send(
        "POST",
        f"/default/{project}/images/{upload.image_id}/mask",
        params={"classes": CLASSES},
        content=_png(label),
        headers={"Content-Type": "image/png"},
    )
    with ledger.lock:
        ledger.uploads[upload.image_id] = replace(upload, label=label)


def _png(pixels: UInt8[np.ndarray, "..."]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


class Workload:
    """Threads that upload, and one that makes versions, exports and models in turn."""

    def __init__(
        self, url: str, key: str, ledger: Ledger, seed: int, *, pause_s: float, trains: bool
    ) -> None:
        """Ready to start; uploaders rest `pause_s` after each photo."""
        self._url, self._key, self._ledger = url, key, ledger
        self._seed, self._pause_s, self._trains = seed, pause_s, trains
        self._stopping, self.enough = threading.Event(), threading.Event()
        self.cycles = 0
        works = [lambda at=at: self._upload_on(at) for at in range(2)]
        self._threads = [threading.Thread(target=work) for work in (*works, self._cycle_on)]

    def start(self) -> None:
        """Begin all of it."""
        for thread in self._threads:
            thread.start()

    def finish(self, limit_s: float) -> None:
        """Let the cycle in hand come to its end, then stop everything."""
        self.enough.set()
        self._threads[-1].join(limit_s)
        if self._threads[-1].is_alive():
            self._ledger.problem(f"jobs did not come to an end within {limit_s} s")
        self.stop()

    def stop(self) -> None:
        """Stop all threads after the request that each is at."""
        self.enough.set()
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _upload_on(self, at: int) -> None:
        client = Client(self._url, self._key, self._stopping)
        draw = np.random.default_rng((self._seed, at))
        number = at * 1_000_000
        while not self.enough.is_set():
            try:
                upload_labelled(client, self._ledger, GROWING, draw, number)
            except Stopped:
                break
            except Unanswered as error:
                self._ledger.problem(str(error))
            number += 1
            self.enough.wait(self._pause_s)
        client.close()

    def _cycle_on(self) -> None:
        client = Client(self._url, self._key, self._stopping)
        while not self.enough.is_set():
            try:
                self._one_cycle(client)
                self.cycles += 1
            except Stopped:
                break
            except Unanswered as error:
                self._ledger.problem(str(error))
        client.close()

    def _one_cycle(self, client: Client) -> None:
        for project in (GROWING, TRAINED) if self._trains else (GROWING,):
            number = self._generate(client, project)
            if number is not None:
                self._export(client, project, number)
        if number is not None and self._trains:
            self._train(client, number)

    def _generate(self, client: Client, project: str) -> int | None:
        resize = {"width": 32, "height": 32, "format": "Stretch to"}
        body = {"preprocessing": {"resize": resize}, "augmentation": {}, "seed": 7}
        answer = client.send("POST", f"/default/{project}/generate", json=body)
        number = int(answer.json()["version"])
        with self._ledger.lock:
            self._ledger.requested.add((project, number))
        while True:
            version = client.get(f"/default/{project}/{number}")["version"]
            if version.get("error"):
                self._note_failure(f"{project}/{number} generate", str(version["error"]))
                return None
            if not version["generating"]:
                with self._ledger.lock:
                    self._ledger.versions[project, number] = int(version["images"])
                return number
            time.sleep(POLL_S)

    def _export(self, client: Client, project: str, number: int) -> None:
        while True:
            try:
                answer = client.send("GET", f"/default/{project}/{number}/{FORMAT}")
            except Unanswered as error:
                self._note_failure(f"{project}/{number} export", str(error))
                return
            if answer.status_code == 200:
                with self._ledger.lock:
                    self._ledger.exports[project, number] = answer.json()["export"]["link"]
                return
            time.sleep(POLL_S)

    def _train(self, client: Client, number: int) -> None:
        path = f"/default/{TRAINED}/{number}"
        body = {"modelType": "deeplabv3plus", "epochs": 1}
        training = client.send("POST", f"{path}/train", json=body).json()["trainingId"]
        while True:
            listed = client.get(f"{path}/v2/trainings")["trainings"]
            status = next(entry["status"] for entry in listed if entry["id"] == training)
            if status == "finished":
                with self._ledger.lock:
                    self._ledger.models.add(f"{TRAINED}/{number}")
                return
            if status in ("failed", "cancelled"):
                self._note_failure(f"{path} train", str(client.get(path)["version"].get("train")))
                return
            time.sleep(POLL_S)

    def _note_failure(self, what: str, why: str) -> None:
        if GAVE_UP in why:  # by design: it would otherwise go round for ever
            with self._ledger.lock:
                self._ledger.given_up.append(what)
        else:
            self._ledger.problem(f"{what}: {why[:300]}")
