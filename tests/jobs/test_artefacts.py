import json
from pathlib import Path

import numpy as np
import pytest

from atrous.datasets.detect import open_dataset
from atrous.images.decode import decode_image
from atrous.jobs.artefacts import read_results, write_artefacts
from atrous.jobs.evaluate import Evaluation, measure_package
from atrous.packages.directory import ModelPackage

RESULTS = """epoch,train_loss,valid_miou,valid_pixel_accuracy,iou_a
1,2.5,0.1,0.5,
2,1.25,0.2,0.75,0.5
"""


@pytest.fixture(scope="module")
def evaluation(package: ModelPackage, directory: Path) -> Evaluation:
    return measure_package(package, open_dataset(directory), "valid", with_photos=True)


def test_the_page_holds_all_that_lies_beside_it(evaluation: Evaluation, tmp_path: Path) -> None:
    results = tmp_path / "results.csv"
    results.write_text(RESULTS)
    folder = tmp_path / "deep" / "report"
    page = write_artefacts(
        folder, "cats <1>", "why", [evaluation], results=results, choices={"epochs": 3}
    )
    assert page == folder / "report.html"
    text = page.read_text()
    names = sorted(path.name for path in (folder / "pictures").iterdir())
    charts = ["calibration-valid.png", "classes-valid.png", "confusion-valid.png", "curves.png"]
    assert [name for name in names if name.endswith(".png")] == charts
    photos = [name for name in names if name.endswith(".jpg")]
    assert len(photos) == len(evaluation.examples) == 3
    assert text.count('src="data:image/png;base64,') == 4
    assert text.count('src="data:image/jpeg;base64,') == 3
    for name in names:
        assert decode_image((folder / "pictures" / name).read_bytes()).std() > 1
    assert "cats &lt;1&gt;" in text
    assert f"{evaluation.report['miou']:.4f}" in text
    values = json.loads((folder / "metrics.json").read_text())
    assert values["valid"]["miou"] == evaluation.report["miou"]


def test_a_page_to_share_has_the_figures_and_no_photo(
    evaluation: Evaluation, tmp_path: Path
) -> None:
    whole = write_artefacts(tmp_path, "cats/1", "why", [evaluation], choices={"epochs": 3})
    page = (tmp_path / "report-without-photos.html").read_text()
    assert page.count('src="data:image/png;base64,') == 3
    assert f"{evaluation.report['miou']:.4f}" in page
    assert "epochs" in page
    assert "image/jpeg" not in page
    for photo in evaluation.report["worst_photos"]:
        assert photo["name"] in whole.read_text()
        assert photo["name"] not in page


def test_a_second_report_replaces_the_first(evaluation: Evaluation, tmp_path: Path) -> None:
    write_artefacts(tmp_path, "t", "", [evaluation])
    stale = tmp_path / "pictures" / "valid-1-best-old.jpg"
    stale.write_bytes(b"old")
    write_artefacts(tmp_path, "t", "", [evaluation])
    assert not stale.exists()


def test_photos_are_ranked_by_their_own_figure(evaluation: Evaluation) -> None:
    mious = [example.miou for example in evaluation.examples]
    assert mious == sorted(mious)
    assert evaluation.examples[0].rank == "worst"
    assert np.isclose(mious[0], evaluation.report["worst_photos"][0]["miou"])


def test_results_are_read_with_their_gaps(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    path.write_text(RESULTS)
    assert read_results(path)["iou_a"] == [None, 0.5]
    assert read_results(path)["train_loss"] == [2.5, 1.25]
    path.write_text("epoch\n")
    assert read_results(path) == {}
