import importlib.util
import json
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

WRITE_PACKAGE = Path(__file__).parents[1] / "server" / "colour_package.py"
NAMES = ("background", "red", "green", "blue")
COLOURS = {0: (0, 0, 0), 1: (255, 0, 0), 2: (0, 255, 0), 3: (0, 0, 255)}
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that tells red, green and blue."""
    spec = importlib.util.spec_from_file_location("colour_package", WRITE_PACKAGE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.write_colour_package(tmp_path_factory.mktemp("packages") / "package")


def write_set(folder: Path, splits: dict[str, list[tuple[int, int]]]) -> Path:
    """Per split pictures of one colour each, given as (id that is drawn, id of the label)."""
    for split, pictures in splits.items():
        (folder / split).mkdir(parents=True)
        rows = [f"{value}, {name}" for value, name in enumerate(NAMES)]
        (folder / split / "_classes.csv").write_text("\n".join(["Pixel Value, Class", *rows]))
        for number, (drawn, labelled) in enumerate(pictures):
            size = (40, 60 + number)  # no two files alike
            picture = np.full((*size, 3), COLOURS[drawn], np.uint8)
            Image.fromarray(picture).save(folder / split / f"{split}{number}.png")
            mask = np.full(size, labelled, np.uint8)
            Image.fromarray(mask).save(folder / split / f"{split}{number}_mask.png")
    return folder


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Three test pictures of which one is labelled wrongly; the validation pictures are right."""
    return write_set(
        tmp_path / "set",
        {
            "train": [(1, 1), (2, 2)],
            "valid": [(1, 1), (3, 3)],
            "test": [(1, 1), (2, 2), (3, 2)],
        },
    )


def test_json(atrous: Run, package: Path, directory: Path) -> None:
    code, out, err = atrous("evaluate", package, directory, "--json")
    assert code == 0, err
    values = json.loads(out)
    assert out.count("\n") == 1
    assert values["model"] == str(package)
    assert (values["split"], values["photos"]) == ("test", 3)
    assert set(values) >= {
        *("model", "split", "photos", "engine", "precision"),
        *("miou", "pixel_accuracy", "classes", "confusion_matrix"),
        *("miou_interval", "frequency_weighted_iou", "boundary_miou", "worst_photos"),
        *("expected_calibration_error", "recommended_parameters"),
    }
    assert values["worst_photos"][0] == {"name": "test2", "miou": 0}
    assert [entry["name"] for entry in values["classes"]] == list(NAMES)
    assert set(values["classes"][0]) >= {"name", "iou", "precision", "recall", "f1", "pixels"}
    assert values["classes"][0]["iou"] is None  # there is no background at all
    assert values["classes"][1]["iou"] == 1
    matrix = values["confusion_matrix"]
    assert matrix[2] == [0, 0, 40 * 61, 40 * 62]
    assert np.sum(matrix) == 40 * (60 + 61 + 62)
    assert values["pixel_accuracy"] == pytest.approx((60 + 61) / (60 + 61 + 62))
    assert values["miou"] == pytest.approx((1 + 61 / (61 + 62) + 0) / 3)


def test_a_table_for_people(atrous: Run, package: Path, directory: Path) -> None:
    code, out, _ = atrous("evaluate", package, directory, "--split", "valid")
    assert code == 0
    assert f"{package} on 2 photos of valid" in " ".join(out.split())
    assert "blue" in out
    assert re.search(r"green +(- +)+0", out)  # it does not occur
    assert "mIoU 1.0000, pixel accuracy 1.0000" in out


def test_a_report_in_a_folder(atrous: Run, package: Path, directory: Path, tmp_path: Path) -> None:
    out_folder = tmp_path / "report"
    arguments = ("--report", out_folder, "--flip", "--scales", "0.5,1", "--json")
    code, out, err = atrous("evaluate", package, directory, *arguments)
    assert code == 0, err
    assert str(out_folder / "report.html") in "".join(err.split("\n"))
    assert json.loads(out)["classes"][1]["iou"] > 0.9
    page = (out_folder / "report.html").read_text()
    assert page.count("<img") == 3 + 3  # charts, photos
    assert f"{directory.name}, test" in page
    for path in (package, directory):
        assert str(path) not in page
    figures = json.loads((out_folder / "metrics.json").read_text())
    assert figures["test"]["photos"] == 3


def test_valid_where_there_is_no_test_split(atrous: Run, package: Path, tmp_path: Path) -> None:
    folder = write_set(tmp_path / "set", {"train": [(1, 1)], "valid": [(3, 3)]})
    values = json.loads(atrous("evaluate", package, folder, "--json")[1])
    assert (values["split"], values["photos"]) == ("valid", 1)


def flat(tmp_path: Path, values: tuple[int, ...] = (0, 1, 2, 3, 1)) -> Path:
    """Pictures and masks in two folders, not parted into splits."""
    for number, value in enumerate(values):
        for place, pixels in (
            ("images", np.full((40, 60 + number, 3), COLOURS.get(value, (9, 9, 9)), np.uint8)),
            ("masks", np.full((40, 60 + number), value, np.uint8)),
        ):
            (tmp_path / "flat" / place).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(tmp_path / "flat" / place / f"{number}.png")
    return tmp_path / "flat"


def test_all_photos_of_a_folder_without_splits(atrous: Run, package: Path, tmp_path: Path) -> None:
    """Nothing was trained on them here, so that nothing has to be held out."""
    names = ("--classes", ",".join(NAMES))
    values = json.loads(atrous("evaluate", package, flat(tmp_path), *names, "--json")[1])
    assert (values["split"], values["photos"]) == ("all", 5)
    arguments = (*names, "--split", "valid", "--json")
    values = json.loads(atrous("evaluate", package, flat(tmp_path), *arguments)[1])
    assert (values["split"], values["photos"]) == ("valid", 1)


def test_a_value_without_a_name_is_no_ignored_pixel(
    atrous: Run, package: Path, tmp_path: Path
) -> None:
    arguments = (flat(tmp_path, (1, 2, 255)), "--classes", ",".join(NAMES), "--json")
    code, out, err = atrous("evaluate", package, *arguments)
    assert (code, out) == (1, "")
    assert "255 (2480 pixels)" in " ".join(err.split())
    assert f"{' '.join(map(str, arguments[:3]))}` lists them; --skip-bad leaves them out" in err
    code, out, err = atrous("evaluate", package, *arguments, "--skip-bad")
    assert (code, json.loads(out)["photos"]) == (0, 2)


def test_a_published_model(atrous: Run, package: Path, directory: Path) -> None:
    assert atrous("models", "add", package, "--as", "colours/1")[0] == 0
    code, out, _ = atrous("evaluate", "colours/1", directory, "--json")
    assert (code, json.loads(out)["model"]) == (0, "colours/1")


@pytest.mark.slow
@pytest.mark.usefixtures("as_before")
def test_a_trained_model_at_another_output_stride(
    atrous: Run, tiny: ModuleType, tmp_path: Path
) -> None:
    pictures = tiny.write_tiny_set(tmp_path / "pictures")
    assert atrous("train", pictures, "--as", "tiny", *tiny.OPTIONS)[0] == 0
    figures = {}
    for stride in ((), ("--output-stride", "16"), ("--output-stride", "8")):
        arguments = ("--precision", "fp32", "--json", *stride)
        code, out, err = atrous("evaluate", "tiny/1", pictures, *arguments)
        assert code == 0, err
        figures[stride] = json.loads(out)
    plain, same, other = figures.values()
    assert [each["output_stride"] for each in figures.values()] == [None, 16, 8]
    assert {**same, "output_stride": None} == plain
    assert other["confusion_matrix"] != plain["confusion_matrix"]
    report = ("--report", tmp_path / "report", "--output-stride", "8")
    assert "tiny/1 at output stride 8 on 2" in atrous("evaluate", "tiny/1", pictures, *report)[1]
    assert "pictures at output stride 8" in (tmp_path / "report" / "report.html").read_text()


def test_another_output_stride_needs_the_checkpoint(
    atrous: Run, package: Path, directory: Path
) -> None:
    code, out, err = atrous("evaluate", package, directory, "--output-stride", "8")
    assert (code, out) == (1, "")
    assert "needs the checkpoint of its training" in " ".join(err.split())


def test_what_can_not_be_measured(
    atrous: Run, package: Path, directory: Path, tmp_path: Path
) -> None:
    code, out, err = atrous("evaluate", package, directory, "--split", "tests", "--json")
    assert (code, out) == (1, "")
    assert "has no photos in split 'tests'" in err
    code, out, err = atrous("evaluate", "colours/7", directory, "--json")
    assert (code, out) == (1, "")
    assert "colours/7" in err
    code, out, err = atrous("evaluate", package, tmp_path, "--json")
    assert (code, out) == (1, "")
    assert "no data set is recognised" in err
    assert atrous("evaluate", package, directory, "--engine", "tensorrt")[0] == 2
    (tmp_path / "file").write_text("in the way")
    code, out, err = atrous("evaluate", package, directory, "--report", tmp_path / "file" / "x")
    assert (code, out) == (1, "")
    assert "file/x can't be written: Not a directory; give another --report" in err
