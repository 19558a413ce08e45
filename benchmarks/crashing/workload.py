"""The work that goes on while processes are killed: uploads, zips, labels, versions, trainings."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from crashing.client import Client, Stopped, Unanswered
from crashing.ledger import Ledger, Upload
from crashing.photos import CLASSES, as_png, draw_label, draw_photo
from crashing.zips import ZIPPED, export_search, send_zip

SPLITS = ("train", "train", "valid", "test")
TRAINED, GROWING = "trained", "growing"  # project slugs: a small one, and one that always grows
POLL_S = 0.3
FORMAT = "png-mask-semantic"


def make_projects(client: Client, ledger: Ledger, photos: int) -> None:
    """All projects; the one that is trained gets its photos, the one that grows its first."""
    for name in (TRAINED, GROWING, ZIPPED):
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
    file, label = as_png(draw_photo(draw)), draw_label(draw)
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
        params={"classes": ",".join(CLASSES)},
        content=as_png(label),
        headers={"Content-Type": "image/png"},
    )
    with ledger.lock:
        ledger.uploads[upload.image_id] = replace(upload, label=label)


class Workload:
    """Threads that upload photos, one that makes versions, exports and models in turn, and one
    that sends zips and exports what a search finds.
    """

    def __init__(
        self, url: str, key: str, ledger: Ledger, seed: int, *, pause_s: float, trains: bool
    ) -> None:
        """Ready to start; uploaders rest `pause_s` after each photo."""
        self._url, self._key, self._ledger = url, key, ledger
        self._seed, self._pause_s, self._trains = seed, pause_s, trains
        self._stopping, self.enough = threading.Event(), threading.Event()
        self.cycles = 0
        works = [lambda at=at: self._upload_on(at) for at in range(2)]
        self._uploaders = [threading.Thread(target=work) for work in works]
        turns = (self._cycle_on, self._zip_on)
        self._turns = [threading.Thread(target=work) for work in turns]

    def start(self) -> None:
        """Begin all of it."""
        for thread in (*self._uploaders, *self._turns):
            thread.start()

    def finish(self, limit_s: float) -> None:
        """Let what is made in turn come to its end, then stop everything."""
        self.enough.set()
        give_up = time.monotonic() + limit_s
        for thread in self._turns:
            thread.join(max(give_up - time.monotonic(), 0.0))
        if any(thread.is_alive() for thread in self._turns):
            self._ledger.problem(f"jobs did not come to an end within {limit_s} s")
        self.stop()

    def stop(self) -> None:
        """Stop all threads after the request that each is at."""
        self.enough.set()
        self._stopping.set()
        for thread in (*self._uploaders, *self._turns):
            thread.join()

    def _upload_on(self, at: int) -> None:
        draw = np.random.default_rng((self._seed, at))

        def upload(client: Client, number: int) -> None:
            upload_labelled(client, self._ledger, GROWING, draw, at * 1_000_000 + number)

        self._go_on(upload, self._pause_s)

    def _cycle_on(self) -> None:
        def cycle(client: Client, _: int) -> None:
            self._one_cycle(client)
            self.cycles += 1

        self._go_on(cycle, pause_s=0.0)

    def _zip_on(self) -> None:
        draw = np.random.default_rng((self._seed, 1_000))

        def send(client: Client, number: int) -> None:
            if send_zip(client, self._ledger, draw, number):
                export_search(client, self._ledger)

        self._go_on(send, self._pause_s)

    def _go_on(self, once: Callable[[Client, int], None], pause_s: float) -> None:
        """Do something again and again, counted from 0, until it is enough."""
        client, number = Client(self._url, self._key, self._stopping), 0
        while not self.enough.is_set():
            try:
                once(client, number)
            except Stopped:
                break
            except Unanswered as error:
                self._ledger.problem(str(error))
            number += 1
            self.enough.wait(pause_s)
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
                self._ledger.failure(f"{project}/{number} generate", str(version["error"]))
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
                self._ledger.failure(f"{project}/{number} export", str(error))
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
                break
            if status in ("failed", "cancelled"):
                self._ledger.failure(f"{path} train", str(client.get(path)["version"].get("train")))
                return
            time.sleep(POLL_S)
        self._send_back(client, path)

    def _send_back(self, client: Client, path: str) -> None:
        """Download the model's weights, and upload them as a second model of the version."""
        weights = client.send("GET", client.get(f"{path}/ptFile")["weightsUrl"]).content
        link = client.get(f"{path}/uploadModel")["url"]
        training = client.send("PUT", link, content=weights).json()["trainingId"]
        while True:
            listed = client.get(f"{path}/v2/trainings")["trainings"]
            sent = next(entry for entry in listed if entry["id"] == training)
            if sent["status"] == "finished":
                with self._ledger.lock:
                    self._ledger.models.update(sent["modelIds"])
                return
            if sent["status"] in ("failed", "cancelled"):
                self._ledger.failure(f"{path} uploadModel", str(sent))
                return
            time.sleep(POLL_S)
