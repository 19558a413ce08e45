import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from atrous.datasets.detect import open_dataset
from atrous.datasets.version import Dataset
from atrous.domain.classes import ClassTable, behind_background
from atrous.domain.errors import BadDataset
from atrous.jobs.evaluate import measure_package, model_ids_of
from atrous.packages.directory import ModelPackage, write_package
from atrous.runtime.segmenter import Segmenter


@pytest.fixture(scope="module")
def dataset(directory: Path) -> Dataset:
    return open_dataset(directory)


def renamed(package: ModelPackage, names: tuple[str, ...], folder: Path) -> ModelPackage:
    """The same network, its channels named otherwise."""
    return write_package(
        folder,
        weights=package.weights,
        classes=ClassTable(names),
        preprocess=package.preprocess,
        manifest={},
    )


def counts_by_hand(package: ModelPackage, dataset: Dataset, split: str) -> dict[str, int]:
    """Right pixels per class name, by a plain loop."""
    right = dict.fromkeys(dataset.classes.names, 0)
    segmenter = Segmenter(package)
    try:
        for sample in dataset.splits[split]:
            image, truth = sample.read()
            predicted = segmenter.predict(image).label_map
            for class_id, name in enumerate(dataset.classes.names):
                model_id = package.class_names.index(name)
                right[name] += int(((truth == class_id) & (predicted == model_id)).sum())
    finally:
        segmenter.close()
    return right


def test_figures_of_a_split(package: ModelPackage, dataset: Dataset) -> None:
    told = []
    found = measure_package(
        package, dataset, "valid", progress=lambda done, total: told.append((done, total))
    )
    assert (found.split, found.photos) == ("valid", 3)
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert found.matrix.counts.sum() == 3 * 64 * 64
    right = counts_by_hand(package, dataset, "valid")
    assert np.diag(found.matrix.counts).tolist() == list(right.values())
    assert [entry["name"] for entry in found.report["classes"]] == list(dataset.classes.names)
    values = json.loads(json.dumps(found.as_json(), allow_nan=False))
    assert values["miou"] == found.report["miou"]
    assert values["confusion_matrix"] == found.matrix.counts.tolist()


def test_classes_in_another_order_are_matched_by_name(
    package: ModelPackage, dataset: Dataset, tmp_path: Path
) -> None:
    names = ("background", "triangle", "circle", "square")
    turned = renamed(package, names, tmp_path / "turned")
    found = measure_package(turned, dataset, "valid")
    assert [entry["name"] for entry in found.report["classes"]] == list(names)
    right = counts_by_hand(turned, dataset, "valid")
    assert dict(zip(names, np.diag(found.matrix.counts), strict=True)) == right
    plain = measure_package(package, dataset, "valid")
    true_pixels = {entry["name"]: entry["pixels"] for entry in plain.report["classes"]}
    assert {entry["name"]: entry["pixels"] for entry in found.report["classes"]} == true_pixels


def test_a_model_may_know_more_classes(
    package: ModelPackage, dataset: Dataset, tmp_path: Path
) -> None:
    larger = renamed(package, ("background", "Circle", "SQUARE", "star"), tmp_path / "larger")
    with pytest.raises(BadDataset, match=r"does not know the classes triangle .*star"):
        measure_package(larger, dataset, "valid")
    fewer = replace(dataset, classes=ClassTable(("background", "square", "circle")))
    table = model_ids_of(fewer.classes, larger)
    assert table[:4].tolist() == [0, 2, 1, 255]
    assert (table[3:] == 255).all()


def test_an_unused_background_is_not_measured(package: ModelPackage, dataset: Dataset) -> None:
    table = model_ids_of(behind_background(["circle", "triangle"]), package)
    assert table[:4].tolist() == [255, 1, 3, 255]
    unlabelled = replace(dataset.classes, background_labelled=False)
    found = measure_package(package, replace(dataset, classes=unlabelled), "valid")
    assert [entry["name"] for entry in found.report["classes"]] == list(dataset.classes.names[1:])
    assert found.matrix.counts[0].sum() == 0


def test_a_split_that_is_not_there(package: ModelPackage, dataset: Dataset) -> None:
    with pytest.raises(BadDataset, match="'tests'; it has train, valid, test"):
        measure_package(package, dataset, "tests")
