import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import torch

from atrous.datasets.detect import DatasetOptions, open_dataset
from atrous.deeplab.network import build_network
from atrous.domain.errors import BadDataset, BadInput, NotFound
from atrous.domain.geometry import Size
from atrous.export.variant import VariantRequest
from atrous.jobs import export
from atrous.jobs.evaluate import measure_package
from atrous.jobs.export import export_model, find_source, open_data
from atrous.jobs.training_request import TrainingRequest
from atrous.packages.directory import ModelPackage
from atrous.store.opening import Store
from atrous.training.checkpoint import save_best
from atrous.training.run_folder import RunFolder


@pytest.fixture
def run(store: Store, tiny: ModuleType, directory: Path, package: ModelPackage) -> RunFolder:
    """A finished run in the store, whose best weights are those of the package."""
    recipe = tiny.tiny_recipe()
    folder = tiny.new_run(store.home.runs / "tiny" / "0001", recipe)
    dataset = open_dataset(directory)
    torch.manual_seed(0)
    network = build_network("deeplabv3plus", tiny.BACKBONE, 4).eval()
    save_best(folder, 1, network, dataset.classes, recipe, {"miou": 0.1})
    facts = TrainingRequest(directory, "tiny").to_json()
    facts["fingerprint"] = dataset.fingerprint()
    (folder.path / "request.json").write_text(json.dumps(facts))
    shutil.copytree(package.folder, folder.package)
    return folder


def test_a_model_is_found_by_every_name(store: Store, run: RunFolder, tmp_path: Path) -> None:
    model_id = store.models.publish(
        "tiny", run.package, workspace_id=store.workspaces.default().id, facts={"run": "tiny/0001"}
    )
    for name in (str(run.path), str(run.package), str(model_id)):
        source = find_source(name, store)
        assert source.run == run
        assert source.output_stride == 16
    lone = shutil.copytree(run.package, tmp_path / "elsewhere" / "package")
    assert find_source(str(lone), store).run is None
    with pytest.raises(NotFound):
        find_source("tiny/9", store)
    shutil.rmtree(run.package)
    with pytest.raises(BadInput, match="no package yet.*: atrous train .* --as tiny --resume$"):
        find_source(str(run.path), store)
    (run.path / "request.json").unlink()
    with pytest.raises(BadInput, match="no package yet.*: atrous train DIR --as tiny --resume$"):
        find_source(str(run.path), store)


def test_the_runs_data_is_taken_where_none_is_given(
    store: Store, run: RunFolder, directory: Path, tmp_path: Path
) -> None:
    source, options = find_source(str(run.path), store), DatasetOptions()
    data = open_data(source, None, options)
    assert data is not None
    assert data.dataset.root == directory
    given = open_data(source, shutil.copytree(directory, tmp_path / "set"), options)
    assert given is not None
    assert given.dataset.root == tmp_path / "set"
    request = json.loads((run.path / "request.json").read_text())
    (run.path / "request.json").write_text(json.dumps({**request, "fingerprint": "0" * 64}))
    with pytest.raises(BadDataset, match="has changed .*; name labelled ones with --data"):
        open_data(source, None, options)
    request["directory"] = str(tmp_path / "gone")
    (run.path / "request.json").write_text(json.dumps(request))
    assert open_data(source, None, options) is None


def test_another_stride_is_made_of_the_checkpoint_and_measured(
    store: Store, run: RunFolder, tmp_path: Path
) -> None:
    source = find_source(str(run.path), store)
    package = export_model(
        source,
        VariantRequest(max_drop=100.0),
        tmp_path / "fine",
        output_stride=8,
        data=open_data(source, None, DatasetOptions()),
    )
    assert package.manifest["network"]["output_stride"] == 8
    assert package.manifest["parity"]["pixel_agreement"] > 0.999
    assert package.manifest["export"]["photos"] == 3
    assert package.weights.read_bytes() != source.package.weights.read_bytes()


def test_another_size_is_made_of_the_checkpoint_and_measured(
    store: Store, run: RunFolder, tmp_path: Path
) -> None:
    source = find_source(str(run.path), store)
    data = open_data(source, None, DatasetOptions())
    large = export_model(
        source, VariantRequest(max_drop=100.0), tmp_path / "large", side=90, data=data
    )
    assert large.preprocess == replace(source.package.preprocess, size=Size(96, 96))
    assert large.manifest["network"]["output_stride"] == 16
    assert "input 96x96" in (large.folder / "model_card.md").read_text()
    # The figures are those of each package at its own size.
    assert data is not None
    figures = large.manifest["export"]
    for package, miou in ((source.package, "miou_before"), (large, "miou_after")):
        measured = measure_package(package, data.dataset, "valid")
        assert figures[miou] == pytest.approx(measured.report["miou"], abs=1e-6)
    # The run's photos fit a package whose size is another than the training's.
    again = find_source(str(run.path), store)
    small = VariantRequest(precision="int8", max_drop=100.0)
    int8 = export_model(again, small, tmp_path / "small", side=96, data=data)
    assert int8.preprocess.size == Size(96, 96)


def test_a_size_keeps_the_shape_of_the_training(store: Store, run: RunFolder) -> None:
    """Whatever an export in between was rounded to."""
    source = find_source(str(run.path), store)
    trained = replace(source.package.preprocess, size=Size(360, 480))
    recipe = replace(run.read_recipe(), preprocess=trained)
    (run.path / "recipe.json").write_text(json.dumps(recipe.to_json()))
    package = replace(source.package, preprocess=replace(trained, size=Size(240, 336)))
    source = replace(source, package=package)
    sizes = [export._input_size(source, side) for side in (None, 336, 480, 640)]
    assert sizes == [Size(240, 336), Size(240, 336), Size(360, 480), Size(480, 640)]


def test_without_a_checkpoint_the_stride_stays(
    store: Store, package: ModelPackage, tmp_path: Path
) -> None:
    source = find_source(str(package.folder), store)
    with pytest.raises(BadInput, match="at output stride 16, and 8 needs the checkpoint"):
        export_model(source, VariantRequest(), tmp_path / "fine", output_stride=8)
    with pytest.raises(BadInput, match="input of 64x64, and 128x128 needs .* --export-size 128"):
        export_model(source, VariantRequest(), tmp_path / "large", side=128)
    same = export_model(source, VariantRequest(), tmp_path / "same", output_stride=16, side=64)
    assert same.weights.read_bytes() == package.weights.read_bytes()


def test_a_set_without_validation_photos_is_refused(
    store: Store, run: RunFolder, tmp_path: Path
) -> None:
    source = find_source(str(run.path), store)
    data = open_data(source, None, DatasetOptions())
    assert data is not None
    data.dataset.splits["valid"] = []
    with pytest.raises(BadDataset, match="no photos in split 'valid'"):
        export_model(source, VariantRequest(precision="int8"), tmp_path / "small", data=data)
