"""The whole of it on a tiny network, with a real server and a peer that only looks like one."""

import base64
import importlib.util
import socket
import sys
import threading
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from serving import server_process
from serving.cases import Case, Model
from serving.model_run import Plan, measure_model
from serving.server_process import Server, ServerFailed, publish

from atrous.domain.geometry import Size

COLOURS = Path(__file__).parents[1] / "server" / "colour_package.py"
PHOTO = Size(height=821, width=1232)
# Reads the package as far as its answer needs, and gives what has torch's methods.
PEER = """
import numpy as np
import onnxruntime

class Tensor(np.ndarray):
    def cpu(self):
        return self
    def numpy(self):
        return np.asarray(self)

class Result:
    def __init__(self, ids, confidence):
        self.segmentation_map, self.confidence = ids.view(Tensor), confidence.view(Tensor)

class AutoModel:
    class_names = ["background", "red", "green", "blue"]

    @classmethod
    def from_pretrained(cls, folder, allow_direct_local_storage_loading):
        print("a library that prints")
        model = cls()
        model.session = onnxruntime.InferenceSession(folder + "/weights.onnx")
        return model

    def pre_process(self, image):
        import cv2
        height, width = self.session.get_inputs()[0].shape[2:]
        small = cv2.resize(image, (width, height))[..., ::-1] / 255
        return small.transpose(2, 0, 1)[None].astype(np.float32), image.shape[:2]

    def forward(self, batch):
        return self.session.run(None, {"image": batch})[0]

    def post_process(self, logits, size, confidence):
        import cv2
        large = np.stack([cv2.resize(plane, size[::-1]) for plane in logits[0]])
        odds = np.exp(large - large.max(0))
        return [Result(large.argmax(0), (odds / odds.sum(0)).max(0))]
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    spec = importlib.util.spec_from_file_location("colour_package", COLOURS)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    folder: Path = module.write_colour_package(tmp_path / "colours")
    return folder


@pytest.fixture
def peer_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "inference_models.py").write_text(PEER)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    return sys.executable


def test_a_model_is_measured_from_start_up_to_overload(
    tmp_path: Path, package: Path, peer_python: str
) -> None:
    model = Model("colours", "colours", 4, "trained", package, package)
    plan = Plan(
        case_s=0.5,
        clients=((2, 0.2),),
        single_s=0.2,
        client_rounds=2,
        overload_s=0.5,
        capacity_s=0.2,
        convolution_runs=1,
        peer_python=peer_python,
    )
    said: list[str] = []
    result = measure_model(model, [Case(model, PHOTO)], tmp_path, plan, said.append)

    assert said[0] == "colours: start-up"
    assert result.start_up["server_cached_s"] > 0
    assert result.start_up["peer"]["versions"]["inference-models"] == "not installed"
    (case,) = result.cases
    assert case.is_reference
    assert case.ratio is not None
    assert case.ratio_in_process is not None
    assert {"decode", "network", "encode", "http"} <= set(case.server.stages_ms)
    assert set(case.segmenter.stages_ms) == {"decode", "preprocess", "network", "postprocess"}
    assert case.peer is not None
    assert "encode" in case.peer.stages_ms
    assert 0 < case.around_network_ms < case.server.times.p95_ms
    # Shapes of one colour each; the two ways of resizing differ at their edges only.
    assert result.agreement["precision"] == "fp32"
    assert result.agreement["shares"]["1232x821.jpg"] > 0.999
    assert [level["clients"] for level in result.throughput] == [1, 2]
    for level in result.throughput:
        assert level["server"]["per_second"] > 0
        assert level["peer"]["per_second"] > 0
        assert 0 < level["times_one"] < 10
        assert level["peak_mib"] > 10
    assert result.throughput[0]["times_one"] == 1
    assert len(result.throughput[1]["pairs"]) == 2
    assert result.overload["other"] == 0
    assert result.overload["sent"] > 0
    assert result.limit == {}  # the package does not say what its network costs


def test_a_server_whose_model_is_broken_is_an_error(tmp_path: Path, package: Path) -> None:
    published = publish(tmp_path / "home", "colours", package)
    (published.package / "weights.onnx").write_bytes(b"no network")
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(b"no photo")
    with Server(published, tmp_path / "log") as server, closing(server.connect(photo)) as client:
        assert client.post() >= 400


def test_a_server_that_ends_at_once_is_an_error(
    tmp_path: Path, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published = publish(tmp_path / "home", "colours", package)
    monkeypatch.setenv("MAX_ACTIVE_MODELS", "none")
    with pytest.raises(ServerFailed, match="ended before it was ready"):
        Server(published, tmp_path / "log")


@pytest.mark.parametrize(("idle_limit_s", "opened"), [(60.0, 1), (0.0, 3)])
def test_a_connection_is_kept_unless_it_was_idle_for_long(
    idle_limit_s: float, opened: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_process, "IDLE_LIMIT_S", idle_limit_s)
    connections: list[socket.socket] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            connections.append(self.request)
            super().setup()

        def do_POST(self) -> None:
            assert self.headers["Authorization"] == "Bearer secret"
            assert self.path == "/project/1?confidence=0.01"
            photo = base64.b64decode(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200 if photo == b"a photo" else 400)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    photo = tmp_path / "photo.jpg"
    photo.write_bytes(b"a photo")
    with ThreadingHTTPServer((server_process.HOST, 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        connection = server_process.Connection(server.server_port, "project/1", "secret", photo)
        with closing(connection) as client:
            assert [client.post() for _ in range(3)] == [200] * 3
        server.shutdown()
        thread.join()
    assert len(connections) == opened
