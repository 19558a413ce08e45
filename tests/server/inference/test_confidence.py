import json
import shutil

import pytest

from atrous.domain.errors import BadRequest
from atrous.packages.directory import read_package
from atrous.server.inference.confidence import LOWEST, OMITTED, of_hosted_route, threshold_of


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (None, OMITTED),
        ("", OMITTED),
        ("0", LOWEST),
        ("-5", LOWEST),
        ("0.5", 0.5),
        ("0.999", 0.999),
        ("1", 0.01),
        ("1.5", 0.015),
        ("50", 0.5),
        ("100", 1.0),
        ("best", "best"),
        ("default", "default"),
    ],
)
def test_scales(text, value) -> None:
    assert of_hosted_route(text) == pytest.approx(value) if value != text else value == text


@pytest.mark.parametrize("text", ["BEST", "x", "nan", "-inf", "1e999"])
def test_nonsense(text) -> None:
    with pytest.raises(BadRequest):
        of_hosted_route(text)


def test_best_is_what_the_package_recommends(package, tmp_path) -> None:
    without = read_package(package)
    assert [threshold_of(without, wish) for wish in ("best", "default", 0.3)] == [0.5, 0.5, 0.3]
    folder = tmp_path / "package"
    shutil.copytree(package, folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["recommended_parameters"] = {"confidence": 0.72}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    recommending = read_package(folder)
    assert [threshold_of(recommending, wish) for wish in ("best", "default", 0.3)] == [
        0.72,
        0.5,
        0.3,
    ]


def test_best_may_be_one_threshold_per_class(package, tmp_path) -> None:
    folder = tmp_path / "package"
    shutil.copytree(package, folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    names = read_package(folder).class_names
    found = {"confidence": 0.3, "per_class_confidence": {names[1]: 0.8, names[2]: 0.1}}
    manifest["recommended_parameters"] = found
    (folder / "manifest.json").write_text(json.dumps(manifest))
    recommending = read_package(folder)
    assert threshold_of(recommending, "best") == (0.3, 0.8, 0.1, *[0.3] * (len(names) - 3))
    assert threshold_of(recommending, "default") == 0.5
    assert threshold_of(recommending, 0.4) == 0.4


def test_the_floor_is_a_setting() -> None:
    assert of_hosted_route("0.1", lowest=0.3) == 0.3
    assert of_hosted_route("0", lowest=0.0) == 0.0
    assert of_hosted_route("50", lowest=0.3) == 0.5
