import importlib.util
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from atrous.server.app import create_app
from atrous.server.settings import ServerSettings
from atrous.store import Store, open_store


def load_colour_package() -> ModuleType:
    path = Path(__file__).parent / "colour_package.py"
    spec = importlib.util.spec_from_file_location("colour_package", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def colours() -> ModuleType:
    return load_colour_package()


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory, colours: ModuleType) -> Path:
    folder: Path = colours.write_colour_package(tmp_path_factory.mktemp("packages") / "colours")
    return folder


@pytest.fixture
def store(tmp_path: Path, package: Path) -> Iterator[Store]:
    with open_store(tmp_path / "home") as opened:
        workspace = opened.workspaces.default()
        opened.models.publish("colours", package, workspace_id=workspace.id)
        yield opened


@pytest.fixture
def key(store: Store) -> str:
    return store.api_keys.create("test", store.workspaces.default()).plain_text


@pytest.fixture
def start(store: Store) -> Iterator[Callable[..., TestClient]]:
    """Start an app with these settings, and give its client."""
    clients: list[TestClient] = []

    def start_app(**settings: Any) -> TestClient:
        app = create_app(ServerSettings(engine="onnxruntime", **settings), store)
        client = TestClient(app, raise_server_exceptions=False)
        clients.append(client)
        client.__enter__()
        return client

    yield start_app
    for client in clients:
        client.__exit__(None, None, None)


@pytest.fixture
def client(start: Callable[..., TestClient]) -> TestClient:
    return start()


@pytest.fixture(scope="session")
def picture(colours: ModuleType) -> np.ndarray:
    pixels: np.ndarray = colours.draw_picture()[0]
    return pixels


@pytest.fixture(scope="session")
def expected(colours: ModuleType) -> np.ndarray:
    label_map: np.ndarray = colours.draw_picture()[1]
    return label_map


@pytest.fixture(scope="session")
def png(picture: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="session")
def read_mask() -> Callable[[str], np.ndarray]:
    """Decode a mask as clients do, and check that it is 8-bit greyscale."""
    import base64

    def read(text: str) -> np.ndarray:
        data = base64.b64decode(text, validate=True)
        assert data[24:26] == b"\x08\x00"  # bit depth 8, colour type 0
        return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)

    return read
