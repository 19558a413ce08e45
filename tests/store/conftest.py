from collections.abc import Iterator
from pathlib import Path

import pytest

from atrous.store import Store, open_store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "home") as opened:
        yield opened


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "package"
    folder.mkdir()
    (folder / "weights.onnx").write_bytes(b"weights")
    (folder / "class_names.txt").write_text("background\ncat\n")
    return folder
