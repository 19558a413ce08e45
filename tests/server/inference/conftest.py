"""SAM 2 behind the routes without its networks: a segmenter that draws discs where it is told."""

import base64
import io
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from atrous.domain.geometry import Size
from atrous.domain.prompts import Prompt
from atrous.sam2.embedding import Embedding
from atrous.sam2.models import Sam2Package, write_sam2_package
from atrous.sam2.segmenter import InteractiveSegmenter, Sam2Masks
from atrous.server.app import create_app
from atrous.server.sam2_services import open_sam2
from atrous.server.settings import ServerSettings
from atrous.store import Store

RADII, SCORES = (10.0, 30.0, 60.0), (0.5, 0.9, 0.7)  # of the three masks
GRID = (np.mgrid[:256, :256] + 0.5) / 256  # y and x of a mask's pixels


class DiscSegmenter(InteractiveSegmenter):
    """Answers a click by discs round it, a box by the box, nothing by what it was given."""

    engine, precision = "onnxruntime", "fp32"

    def __init__(self, package: Sam2Package) -> None:
        self.package = package
        self.embedded: list[Size] = []
        self.asked: list[tuple[Sequence[Prompt], bool]] = []
        self.prompts_at_once = 32
        self.may_embed = threading.Event()
        self.may_embed.set()

    def embed(self, image: np.ndarray) -> Embedding:
        assert self.may_embed.wait(300)
        size = Size(*image.shape[:2])
        self.embedded.append(size)
        features = np.zeros((1, 2, 2, 2), np.float16)
        return Embedding(size, features, (features, features))

    def segment(
        self, embedding: Embedding, prompts: Sequence[Prompt], *, multimask: bool
    ) -> list[Sam2Masks]:
        self.asked.append((prompts, multimask))
        return [self._answer(prompt, embedding.photo_size, multimask) for prompt in prompts]

    def _answer(self, prompt: Prompt, size: Size, multimask: bool) -> Sam2Masks:
        y, x = GRID
        x, y = x * size.width, y * size.height
        away = [np.hypot(x - point.x, y - point.y) for point in prompt.points]
        count = len(RADII) if multimask else 1
        masks = []
        for radius in RADII[:count]:
            logits = np.full((256, 256), -32.0)
            for point, distance in zip(prompt.points, away, strict=True):
                disc = radius - distance
                logits = np.maximum(logits, disc) if point.positive else np.minimum(logits, -disc)
            if prompt.box is not None:
                across = np.minimum(x - prompt.box.left, prompt.box.right - x)
                down = np.minimum(y - prompt.box.top, prompt.box.bottom - y)
                logits = np.maximum(logits, np.minimum(across, down))
            if prompt.mask_input is not None:
                logits = np.maximum(logits, prompt.mask_input)
            masks.append(np.clip(logits, -32, 32))
        return Sam2Masks(np.stack(masks).astype(np.float32), np.array(SCORES[:count], np.float32))


def write_models(folder: Path, *names: str) -> None:
    """Packages whose networks nobody opens."""
    for name in names:
        variant, _, version = name.partition("-")
        for part in ("encoder", "decoder"):
            (folder.parent / f"{part}.onnx").write_bytes(f"{part} of {name}".encode())
        write_sam2_package(
            folder / name,
            encoder=folder.parent / "encoder.onnx",
            decoder=folder.parent / "decoder.onnx",
            variant=variant,
            version=version,
            facts={},
        )


class Sam2Client:
    """A client of an app whose SAM 2 draws discs."""

    def __init__(self, store: Store, key: str, **settings: Any) -> None:
        chosen = ServerSettings(engine="onnxruntime", sam2_version_id="hiera_tiny", **settings)
        app = create_app(chosen, store)
        self.services = app.state.services
        self.opened: list[DiscSegmenter] = []
        self.services.sam2 = open_sam2(chosen, store.home, self.services.metrics, self._open)
        address = "http://testserver" if chosen.require_key else "http://localhost"
        self.http = TestClient(app, address, raise_server_exceptions=False)
        self.key = key

    def _open(self, package: Sam2Package) -> DiscSegmenter:
        self.opened.append(DiscSegmenter(package))
        return self.opened[-1]

    @property
    def segmenter(self) -> DiscSegmenter:
        if not self.opened:
            self.services.sam2.models.request("hiera_tiny").result()
        return self.opened[0]

    def post(self, path: str, key: str | None = None, **body: Any) -> Any:
        params = {"api_key": key or self.key}
        return self.http.post(path, params=params, json=body)

    def embed(self, **body: Any) -> Any:
        return self.post("/sam2/embed_image", **body)

    def segment(self, **body: Any) -> Any:
        return self.post("/sam2/segment_image", **body)

    def metric(self, line: str) -> float:
        text = self.http.get("/metrics").text
        [value] = [row.split()[-1] for row in text.splitlines() if row.startswith(line + " ")]
        return float(value)


@pytest.fixture
def start_sam2(store: Store, key: str) -> Iterator[Callable[..., Sam2Client]]:
    """Start an app with these settings, and two SAM 2 models."""
    started: list[Sam2Client] = []
    write_models(store.home.sam2_models, "hiera_tiny-2.0", "hiera_tiny-2.1", "hiera_small-2.0")

    def start(**settings: Any) -> Sam2Client:
        started.append(Sam2Client(store, key, **settings))
        started[-1].http.__enter__()
        return started[-1]

    yield start
    for client in started:
        for segmenter in client.opened:
            segmenter.may_embed.set()
        client.http.__exit__(None, None, None)


@pytest.fixture
def sam2(start_sam2: Callable[..., Sam2Client]) -> Sam2Client:
    return start_sam2()


@pytest.fixture(scope="session")
def photo() -> Callable[..., dict[str, str]]:
    """A photo as the JSON routes take it; another `seed`, another photo."""

    def draw(seed: int = 0, width: int = 200, height: int = 100) -> dict[str, str]:
        pixels = np.random.default_rng(seed).integers(0, 255, (height, width, 3), np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG", compress_level=0)
        return {"type": "base64", "value": base64.b64encode(buffer.getvalue()).decode()}

    return draw
