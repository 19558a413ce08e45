import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from atrous.sam2.segmenter import InteractiveSegmenter

# Height and width of the photos that are compared.
PHOTOS = {"landscape": (821, 1232), "portrait": (640, 427), "odd": (333, 217)}


@pytest.fixture(scope="session")
def photos(official_sam2: ModuleType) -> dict[str, np.ndarray]:
    """RGB photos by shape."""
    return {
        name: official_sam2.photo(*sides, seed) for seed, (name, sides) in enumerate(PHOTOS.items())
    }


@pytest.fixture(scope="session")
def exact(sam2_package: Any) -> Iterator[InteractiveSegmenter]:
    """The converted model, computing and keeping everything in single precision."""
    segmenter = InteractiveSegmenter(
        sam2_package, engine="openvino", precision="fp32", embeddings="float32"
    )
    assert segmenter._many is not None
    assert segmenter._many.is_ready(wait=True)
    yield segmenter
    segmenter.close()


@pytest.fixture(scope="session")
def embeddings(exact: InteractiveSegmenter, photos: dict[str, np.ndarray]) -> dict[str, Any]:
    """Of the photos, in single precision."""
    return {name: exact.embed(photo) for name, photo in photos.items()}


@pytest.fixture(scope="session")
def predictors(
    official_sam2: ModuleType, official_network: Any, photos: dict[str, np.ndarray]
) -> dict[str, Any]:
    """Official predictors that have seen the photos."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    found = {}
    for name, photo in photos.items():
        found[name] = official_sam2.predictor(official_network)
        found[name].set_image(photo)
    torch.set_num_threads(before)
    return found


@pytest.fixture(scope="session")
def unused(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that is empty."""
    return tmp_path_factory.mktemp("unused")


@pytest.fixture
def serve_file() -> Iterator[Callable[[Path], str]]:
    """Give the address of a server on this machine that answers every GET with a file."""
    with ExitStack() as servers:
        yield lambda path: servers.enter_context(serving(path))


@contextmanager
def serving(path: Path) -> Iterator[str]:
    """Serve a file under every path of an address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(path.stat().st_size))
            self.end_headers()
            with path.open("rb") as file:
                while block := file.read(1 << 20):
                    self.wfile.write(block)

        def log_message(self, *words: object) -> None:
            """Nothing on the terminal."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = False  # joined by server_close: no socket is left open
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
