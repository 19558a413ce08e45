"""What nearly every test of training needs: the tiny set, opened once."""

from collections.abc import Iterator
from types import ModuleType

import pytest
import torch

from atrous.datasets.version import Dataset


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
