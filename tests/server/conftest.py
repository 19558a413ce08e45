import importlib.util
import io
import socket
import threading
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
from atrous.server.draining import DrainingServer, server_config
from atrous.server.settings import ServerSettings
from atrous.store import Store, open_store


def load_file_beside(name: str) -> ModuleType:
    """Import a file of this folder, which is no package."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


DescribedAnswers = load_file_beside("described_answers").DescribedAnswers


@pytest.fixture(scope="session")
def load_beside() -> Callable[[str], ModuleType]:
    return load_file_beside


@pytest.fixture(scope="session")
def colours() -> ModuleType:
    return load_file_beside("colour_package")


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory, colours: ModuleType) -> Path:
    folder: Path = colours.write_colour_package(tmp_path_factory.mktemp("packages") / "colours")
    return folder


@pytest.fixture
def store(new_home: Path, package: Path) -> Iterator[Store]:
    with open_store(new_home) as opened:
        workspace = opened.workspaces.default()
        opened.models.publish("colours", package, workspace_id=workspace.id)
        yield opened


@pytest.fixture
def key(store: Store) -> str:
    return store.api_keys.create("test", store.workspaces.default()).plain_text


def address_of(settings: ServerSettings) -> str:
    """The client's own default, or the one that a server without keys answers to."""
    return "http://testserver" if settings.require_key else "http://localhost"


@pytest.fixture
def start(store: Store) -> Iterator[Callable[..., TestClient]]:
    """Start an app with these settings, and give its client."""
    clients: list[TestClient] = []

    def start_app(**settings: Any) -> TestClient:
        wanted = ServerSettings(engine="onnxruntime", **settings)
        app = create_app(wanted, store)
        switches = wanted.get_model_registry_enabled, wanted.has_sam2, wanted.legacy_route_enabled
        described = app.state.described = DescribedAnswers(app, switches)
        client = TestClient(app, address_of(wanted), raise_server_exceptions=False)
        client.event_hooks["response"].append(described.complain)
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


class Running:
    """A server in a thread, on a port of its own."""

    def __init__(self, store: Store, **changes: Any) -> None:
        settings = ServerSettings(engine="onnxruntime", **changes)
        app = create_app(settings, store)
        self.services = app.state.services
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.server = DrainingServer(server_config(app, settings), self.services)
        self.thread = threading.Thread(target=self.server.run, args=([self.listener],))
        self.thread.start()
        scheme = "https" if settings.enable_https else "http"
        self.url = f"{scheme}://127.0.0.1:{self.listener.getsockname()[1]}"

    def in_flight(self, count: int) -> None:
        while self.services.lifecycle.in_flight < count:
            assert self.thread.is_alive()

    def hold_predictions(self, monkeypatch: pytest.MonkeyPatch) -> threading.Event:
        segmenter = self.services.models.get("colours/1")
        return hold(monkeypatch, segmenter, "predict")[0]

    def hold_network(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> tuple[threading.Event, threading.Semaphore]:
        """Predictions stop in the network until the event is set; the semaphore counts them."""
        session = self.services.models.get("colours/1")._session
        return hold(monkeypatch, session, "run")


def hold(
    monkeypatch: pytest.MonkeyPatch, owner: Any, name: str
) -> tuple[threading.Event, threading.Semaphore]:
    release, begun, call = threading.Event(), threading.Semaphore(0), getattr(owner, name)

    def hold_and_call(*arguments: Any, **named: Any) -> Any:
        begun.release()
        assert release.wait(120)
        return call(*arguments, **named)

    monkeypatch.setattr(owner, name, hold_and_call)
    return release, begun


@pytest.fixture
def running(store: Store) -> Iterator[Callable[..., Running]]:
    """Start a server with these settings on a port of its own."""
    servers = []

    def start(**settings: Any) -> Running:
        servers.append(Running(store, **settings))
        return servers[-1]

    yield start
    for server in servers:
        server.server.should_exit = True
        server.thread.join(120)
        assert not server.thread.is_alive()
