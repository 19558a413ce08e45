"""A store, and a tiny data set; see tests/training/tiny.py."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch

from atrous.packages.directory import ModelPackage
from atrous.store.opening import Store, open_store
from atrous.training import loop


@pytest.fixture(scope="session")
def directory(tiny: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the tiny set; not to be changed."""
    return tiny.write_tiny_set(tmp_path_factory.mktemp("tiny") / "set")


@pytest.fixture
def store(new_home: Path) -> Iterator[Store]:
    with open_store(new_home) as opened:
        yield opened


@pytest.fixture(autouse=True)
def small_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Train on one thread, and leave this process's memory settings alone."""
    monkeypatch.setattr(loop, "keep_freed_memory", lambda: False)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def package(
    tiny: ModuleType, directory: Path, tmp_path_factory: pytest.TempPathFactory
) -> ModelPackage:
    """A package of a tiny network that was never trained; not to be changed."""
    from atrous.datasets.detect import open_dataset
    from atrous.deeplab.network import build_network
    from atrous.export.package import export_package

    torch.manual_seed(0)
    network = build_network("deeplabv3plus", tiny.BACKBONE, 4).eval()
    dataset = open_dataset(directory)
    folder = tmp_path_factory.mktemp("package") / "package"
    recipe = tiny.tiny_recipe()
    return export_package(network, dataset.classes, recipe, dataset.splits["valid"], folder, {})


@pytest.fixture(scope="session")
def dataset_project() -> ModuleType:
    """The maker of projects with labelled pictures."""
    path = Path(__file__).parent / "dataset_project.py"
    spec = importlib.util.spec_from_file_location("dataset_project", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
