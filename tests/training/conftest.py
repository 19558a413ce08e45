"""What nearly every test of training needs: the tiny set, opened once."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch

from atrous.datasets.version import Dataset
from atrous.training import loop


@pytest.fixture(scope="session")
def dataset(tiny: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The tiny set; not to be changed."""
    return tiny.tiny_dataset(tmp_path_factory.mktemp("tiny") / "set")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny networks run quicker on one thread, and the same sums come out each time."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def memory_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a training sets for its process would last for all tests of this one."""
    monkeypatch.setattr(loop, "keep_freed_memory", lambda: False)


@pytest.fixture(scope="session")
def loss_batches() -> ModuleType:
    """The module loss_batches.py."""
    path = Path(__file__).with_name("loss_batches.py")
    spec = importlib.util.spec_from_file_location("loss_batches", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
