import importlib.util
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

WRITE_PACKAGE = Path(__file__).parents[1] / "server" / "colour_package.py"
Run = Callable[..., tuple[int, str, str]]


def opened(path: Path) -> Image.Image:
    return Image.open(io.BytesIO(path.read_bytes()))


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    spec = importlib.util.spec_from_file_location("colour_package", WRITE_PACKAGE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.write_colour_package(tmp_path_factory.mktemp("packages") / "package")


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """Three quarters red, one quarter blue, 120 wide and 90 high."""
    pixels = np.zeros((90, 120, 3), np.uint8)
    pixels[..., 0] = 255
    pixels[:, 90:] = (0, 0, 255)
    path = tmp_path / "photo.png"
    Image.fromarray(pixels).save(path)
    return path


def test_masks_and_overlays_of_a_package(
    atrous: Run, package: Path, photo: Path, tmp_path: Path
) -> None:
    turned = tmp_path / "turned.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    opened(photo).save(turned, exif=exif.tobytes(), quality=95)
    out = tmp_path / "new" / "masks"
    code, said, errors = atrous("predict", package, photo, turned, "--out", out)
    assert (code, errors) == (0, "")
    assert sorted(path.name for path in out.iterdir()) == [
        "photo.png",
        "photo_overlay.jpg",
        "turned.png",
        "turned_overlay.jpg",
    ]
    first, second = said.splitlines()
    assert first.startswith(f"{photo}: red 75.")
    assert "blue 2" in first
    assert str(turned) in second
    labels = opened(out / "photo.png")
    assert (labels.mode, labels.size) == ("L", (120, 90))
    assert np.asarray(labels)[45, 5] == 1
    assert np.asarray(labels)[45, 115] == 3
    assert opened(out / "turned.png").size == (90, 120)
    overlay = opened(out / "photo_overlay.jpg")
    assert (overlay.format, overlay.size) == ("JPEG", (120, 90))


def test_published_model(atrous: Run, package: Path, photo: Path, tmp_path: Path) -> None:
    assert atrous("models", "add", package, "--as", "colours/1")[0] == 0
    assert atrous("predict", "colours/1", photo, "--out", tmp_path / "out")[0] == 0
    assert (tmp_path / "out" / "photo.png").exists()


def test_confidence(atrous: Run, package: Path, photo: Path, tmp_path: Path) -> None:
    said = atrous("predict", package, photo, "--out", tmp_path / "out", "--confidence", "1")[1]
    assert said == f"{photo}: background 100.0%\n"
    assert atrous("predict", package, photo, "--out", tmp_path, "--confidence", "2")[0] == 2


def test_a_broken_picture_is_named_and_the_rest_is_done(
    atrous: Run, package: Path, photo: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff junk")
    absent = tmp_path / "absent.jpg"
    out = tmp_path / "out"
    code, said, errors = atrous("predict", package, broken, absent, photo, "--out", out)
    assert code == 1
    assert [str(broken) in line for line in errors.splitlines()] == [True, False]
    assert str(absent) in errors
    assert said.startswith(str(photo))
    assert sorted(path.name for path in out.iterdir()) == ["photo.png", "photo_overlay.jpg"]


def test_nothing_is_overwritten_by_accident(
    atrous: Run, package: Path, photo: Path, tmp_path: Path
) -> None:
    before = photo.read_bytes()
    code, _, errors = atrous("predict", package, photo, "--out", photo.parent)
    assert code == 2
    assert "overwrite" in errors
    assert photo.read_bytes() == before
    (tmp_path / "other").mkdir()
    twin = tmp_path / "other" / "photo.jpg"
    opened(photo).save(twin)
    out = tmp_path / "out"
    assert atrous("predict", package, photo, twin, "--out", out)[0] == 2
    assert not out.exists()


def test_wrong_models(atrous: Run, photo: Path, tmp_path: Path) -> None:
    for model in ("shapes/9", "no-id", tmp_path):
        code, said, errors = atrous("predict", model, photo, "--out", tmp_path / "out")
        assert (code, said) == (1, "")
        assert errors.startswith("error: ")
    assert not (tmp_path / "out").exists()


def test_a_file_in_place_of_the_folder(
    atrous: Run, package: Path, photo: Path, tmp_path: Path
) -> None:
    taken = tmp_path / "taken.jpg"
    taken.write_bytes(b"a picture")
    code, _, said = atrous("predict", package, photo, "--out", taken)
    assert code == 1
    assert f"folder {taken} can't be written: it is a file; give another --out" in said
