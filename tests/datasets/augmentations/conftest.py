"""A picture whose colours tell its labels; see coded_picture.py."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def coded_picture() -> ModuleType:
    """The maker of such pictures, and their judge."""
    path = Path(__file__).parent / "coded_picture.py"
    spec = importlib.util.spec_from_file_location("coded_picture", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
