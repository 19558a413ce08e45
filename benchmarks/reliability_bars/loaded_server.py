"""A real server with one model, photos of several kinds, and what it answers while it is idle."""

import itertools
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from serving.photos import photo_file
from serving.server_process import Published, Server, get, publish

from atrous.domain.geometry import Size
from reliability_bars.checked_client import CheckedClient, Outcome, idle_answer

BENCHMARKS = Path(__file__).parents[1]
BACKBONE, CLASSES = "tf_efficientnet_lite0", 21  # what `atrous train` takes by default
PHOTOS = (Size(821, 1232), Size(1232, 821), Size(960, 1280), Size(1000, 1000))
GAUGE = re.compile(r"^(atrous_\w+) (\S+)$", re.MULTILINE)
MUST_BE_0 = ("atrous_queue_depth", "atrous_waiting_bytes")


@dataclass(frozen=True)
class Photo:
    """A photo, and what an idle server answers to it."""

    path: Path
    answer: bytes


@dataclass(frozen=True)
class LoadedServer:
    """A server to be loaded."""

    server: Server
    photos: tuple[Photo, ...]

    def clients(self, outcomes: list[Outcome]) -> Callable[[], CheckedClient]:
        """A function that connects clients, each with the next of the photos.

        With several photos an answer that was meant for another client is seen.
        """
        photos = itertools.cycle(self.photos)

        def connect() -> CheckedClient:
            photo = next(photos)
            return CheckedClient(self.server.connect(photo.path), photo.answer, outcomes)

        return connect

    def still_held(self) -> dict[str, float]:
        """What requests hold, by /metrics; all 0 on an idle server that leaks nothing."""
        gauges = dict(GAUGE.findall(get(self.server.port, "/metrics")[1].decode()))
        return {name: float(gauges[name]) for name in MUST_BE_0}


@contextmanager
def loaded_server(work: Path, package: Path) -> Iterator[LoadedServer]:
    """Start `atrous serve` with its defaults, and ask it for each photo while it is idle."""
    published: Published = publish(work / "home", "load", package)
    with Server(published, work / "server.log") as server:
        paths = [photo_file(work / "photos", size) for size in PHOTOS]
        photos = tuple(Photo(path, idle_answer(server.connect(path))) for path in paths)
        if len({photo.answer for photo in photos}) < len(photos):
            raise RuntimeError("two photos have the same answer; mixed up answers would not show")
        yield LoadedServer(server, photos)


def ensure_package(
    folder: Path, backbone: str = BACKBONE, classes: int = CLASSES, side: int = 512
) -> Path:
    """Make a package of seeded random weights where it is not there yet."""
    if not folder.exists():
        command = [sys.executable, "-m", "serving.random_packages", backbone, str(classes)]
        subprocess.run([*command, str(folder), str(side)], check=True, cwd=BENCHMARKS)
    return folder
