import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from atrous.domain.errors import BadPackage, NotInstalled
from atrous.sam2.models import Sam2Package, remove_package, write_sam2_package
from atrous.sam2.segmenter import InteractiveSegmenter
from atrous.server.loaded_sam2 import LoadedSam2, is_sam2


class NoSegmenter(InteractiveSegmenter):
    """Knows its package."""

    engine, precision = "openvino", "bf16"

    def __init__(self, package: Sam2Package) -> None:
        self.package = package


def add(folder: Path, variant: str, version: str, weights: str = "") -> None:
    for part in ("encoder", "decoder"):
        content = f"{part} {variant} {version} {weights}"
        (folder.parent / f"{part}.onnx").write_bytes(content.encode())
    write_sam2_package(
        folder / f"{variant}-{version}",
        encoder=folder.parent / "encoder.onnx",
        decoder=folder.parent / "decoder.onnx",
        variant=variant,
        version=version,
        facts={},
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for version in ("2.0", "2.1"):
        add(tmp_path / "sam2", "hiera_tiny", version)
    add(tmp_path / "sam2", "hiera_small", "2.0")
    return tmp_path / "sam2"


def test_ids() -> None:
    assert is_sam2("sam2/hiera_tiny")
    assert not is_sam2("sam2")
    assert not is_sam2("shapes/1")


def test_a_model_is_loaded_once_under_each_name(folder: Path) -> None:
    opened: list[str] = []

    def open_one(package: Sam2Package) -> NoSegmenter:
        opened.append(package.name)
        return NoSegmenter(package)

    models = LoadedSam2(folder, open_one, max_models=3)
    first = models.request("hiera_tiny").result()
    assert models.request("sam2/hiera_tiny").result() is first
    assert models.request("hiera_tiny-2.0").result().package.version == "2.0"
    assert opened == ["hiera_tiny-2.1", "hiera_tiny-2.0"]
    names = [listed.model_id for listed in models.described()]
    assert names == ["sam2/hiera_tiny", "sam2/hiera_tiny-2.0"]
    assert (models.described()[0].engine, models.described()[0].precision) == ("openvino", "bf16")


def test_names_of_one_package_share_it(folder: Path) -> None:
    opened: list[str] = []

    def open_one(package: Sam2Package) -> NoSegmenter:
        opened.append(package.name)
        return NoSegmenter(package)

    models = LoadedSam2(folder, open_one, max_models=2)
    names = ("hiera_small", "hiera_small-2.0", "hiera_tiny")
    first, second, _ = [models.request(name).result() for name in names]
    assert first is second
    assert opened == ["hiera_small-2.0", "hiera_tiny-2.1"]
    assert len(models.described()) == 3
    models.request("hiera_tiny-2.0").result()  # makes room: the two names are one model
    assert [one.model_id for one in models.described()] == [
        "sam2/hiera_tiny",
        "sam2/hiera_tiny-2.0",
    ]


def test_names_of_one_package_part_where_a_newer_one_comes(folder: Path) -> None:
    models = LoadedSam2(folder, NoSegmenter, max_models=2)
    for name in ("hiera_small", "hiera_small-2.0"):
        assert models.request(name).result().package.version == "2.0"
    add(folder, "hiera_small", "2.1")
    when(lambda: serves(models, "2.1"))
    assert models.request("hiera_small-2.0").result().package.version == "2.0"


def test_names_of_one_package_are_loaded_anew_together(folder: Path) -> None:
    models = LoadedSam2(folder, NoSegmenter, max_models=2)
    names = ("hiera_small", "hiera_small-2.0")
    old = [models.request(name).result() for name in names]
    remove_package(folder, "hiera_small-2.0")
    add(folder, "hiera_small", "2.0", weights="other")
    when(lambda: models.request("hiera_small").result() is not old[0])
    assert models.request(names[0]).result() is models.request(names[1]).result()


def test_a_damaged_newest_version_is_not_loaded_again_and_again(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    models = LoadedSam2(folder, NoSegmenter, max_models=2)
    first = models.request("hiera_small").result()
    add(folder, "hiera_small", "2.1")
    (folder / "hiera_small-2.1" / "decoder.onnx").write_bytes(b"cut")
    for _ in range(3):
        assert models.request("hiera_small").result() is first
        when(lambda: not any(one.name == "load SAM 2" for one in threading.enumerate()))
    assert caplog.text.count("hiera_small-2.0 is served instead") == 1


def test_the_least_recently_used_leaves(folder: Path) -> None:
    models = LoadedSam2(folder, NoSegmenter, max_models=2)
    for name in ("hiera_tiny", "hiera_small", "hiera_tiny", "hiera_tiny-2.0"):
        models.request(name).result()
    assert [one.model_id for one in models.described()] == [
        "sam2/hiera_tiny",
        "sam2/hiera_tiny-2.0",
    ]
    models.remove("sam2/hiera_tiny")
    models.remove("never there")
    assert len(models.described()) == 1
    models.clear()
    assert models.described() == []


@pytest.mark.parametrize("name", ["hiera_large", "hiera_small-2.1", "", "../x", "hiera_tiny-9.9"])
def test_one_that_is_not_there_names_the_command_or_the_sizes(folder: Path, name: str) -> None:
    models = LoadedSam2(folder, NoSegmenter, max_models=2)
    with pytest.raises(NotInstalled, match="atrous sam2 add|there are hiera_tiny"):
        models.request(name).result()
    assert models.described() == []


def test_a_failed_load_is_tried_again(folder: Path) -> None:
    encoder = folder / "hiera_small-2.0" / "encoder.onnx"
    good = encoder.read_bytes()
    encoder.write_bytes(b"damaged")
    models = LoadedSam2(folder, NoSegmenter, max_models=2)
    with pytest.raises(BadPackage, match="damaged"):
        models.request("hiera_small").result()
    encoder.write_bytes(good)
    assert models.request("hiera_small").result().package.variant == "hiera_small"


def when(true: Callable[[], bool]) -> None:
    """Wait until something is so."""
    for _ in range(60_000):
        if true():
            return
        time.sleep(0.001)
    raise AssertionError("it never was so")


def serves(models: LoadedSam2, version: str) -> bool:
    return models.request("hiera_small").result().package.version == version


def test_a_newer_version_takes_over_when_it_is_ready(folder: Path) -> None:
    may_load = threading.Event()

    def open_slowly(package: Sam2Package) -> NoSegmenter:
        assert package.version == "2.0" or may_load.wait(300)
        return NoSegmenter(package)

    models = LoadedSam2(folder, open_slowly, max_models=2)
    assert serves(models, "2.0")
    add(folder, "hiera_small", "2.1")
    assert serves(models, "2.0")  # while the new one is loaded
    may_load.set()
    when(lambda: serves(models, "2.1"))
    for version in ("2.1", "2.0"):
        remove_package(folder, f"hiera_small-{version}")
    assert serves(models, "2.1")  # it goes on until it has to leave memory


def test_a_new_version_that_fails_leaves_the_old_one_serving(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    opened: list[str] = []

    def open_one(package: Sam2Package) -> NoSegmenter:
        opened.append(package.name)
        if package.version == "2.1":
            raise BadPackage("OpenVINO can't load the network")
        return NoSegmenter(package)

    models = LoadedSam2(folder, open_one, max_models=2)
    assert serves(models, "2.0")
    add(folder, "hiera_small", "2.1")
    assert serves(models, "2.0")
    when(lambda: "goes on as it was" in caplog.text)
    assert serves(models, "2.0")
    assert opened == ["hiera_small-2.0", "hiera_small-2.1"]  # it is not tried again and again


def test_one_that_was_removed_meanwhile_stays_away(folder: Path) -> None:
    may_load = threading.Event()

    def open_slowly(package: Sam2Package) -> NoSegmenter:
        assert package.version == "2.0" or may_load.wait(300)
        return NoSegmenter(package)

    models = LoadedSam2(folder, open_slowly, max_models=2)
    assert serves(models, "2.0")
    add(folder, "hiera_small", "2.1")
    models.request("hiera_small")
    models.clear()
    may_load.set()
    when(lambda: not any(one.name == "load SAM 2" for one in threading.enumerate()))
    assert models.described() == []
