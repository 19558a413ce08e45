"""What tests of several rooms need: the tiny network, and a SAM 2 of random weights."""

import gc
import importlib.util
import inspect
import io
import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import hypothesis
import pytest

TESTS = Path(__file__).parent

# How long an example takes says more about the machine than about the code; and the same examples
# each time: a test that fails for one in a million should do so when it is written.
hypothesis.settings.register_profile(
    "atrous",
    deadline=None,
    derandomize=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("atrous")


def pytest_collection_finish() -> None:
    """Take what was imported out of later rounds of `gc.collect()`.

    The server makes one for each model that it loads or gives up. Over all that the tests import,
    a round takes a third of a second, which was more than half of the time of the server's tests.
    """
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    gc.unfreeze()


@pytest.fixture(autouse=True)
def same_random_numbers() -> None:
    """What PyTorch draws in a test does not depend on the tests before it."""
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


@pytest.fixture
def low_pixel_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """What reads pictures and is told no limit refuses all: as large ones with a raised limit."""
    from atrous.images.decode import decode_image
    from atrous.masks.png import decode_label_map

    for reader in (decode_image, decode_label_map):
        defaults = inspect.unwrap(reader).__kwdefaults__
        assert defaults is not None
        monkeypatch.setitem(defaults, "max_pixels", 1)


@pytest.fixture(scope="session")
def zipped() -> Callable[[dict[str, bytes]], bytes]:
    """Make a zip of files by name."""

    def make(files: dict[str, bytes]) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in files.items():
                archive.writestr(name, data)
        return buffer.getvalue()

    return make


def load_module(path: Path) -> ModuleType:
    """Import a file that is no test, whatever folder it is in."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    """`free_port` of free_ports.py."""
    found: Callable[[], int] = load_module(TESTS / "free_ports.py").free_port
    return found


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with all tables and no rows, to be copied: migrating takes longer than a test."""
    from atrous.store.database import Database

    path = tmp_path_factory.mktemp("migrated") / "atrous.sqlite3"
    database = Database(f"sqlite:///{path}")
    database.migrate()
    database.close()
    return path


@pytest.fixture
def new_home(tmp_path: Path, migrated_sqlite: Path) -> Path:
    """A data folder, for its owner alone as ours are, in which only the tables are made yet."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    shutil.copyfile(migrated_sqlite, home / "atrous.sqlite3")
    return home


@pytest.fixture(scope="session")
def tiny() -> ModuleType:
    """The module tiny.py."""
    return load_module(TESTS / "training" / "tiny.py")


@pytest.fixture(scope="session")
def official_sam2() -> ModuleType:
    """The module official_sam2.py; skips where the official code is not installed."""
    pytest.importorskip("sam2", reason="pip install rf-sam-2")
    pytest.importorskip("transformers")
    return load_module(TESTS / "sam2" / "official_sam2.py")


@pytest.fixture(scope="session")
def prompt_reference() -> ModuleType:
    """The module runtime/prompt_reference.py."""
    return load_module(TESTS / "runtime" / "prompt_reference.py")


@pytest.fixture(scope="session")
def official_network(official_sam2: ModuleType) -> Any:
    """SAM 2.1 tiny in the official code, full size, with random weights; not to be changed."""
    return official_sam2.build_network("hiera_tiny", "2.1")


@pytest.fixture(scope="session")
def sam2_checkpoint(
    official_sam2: ModuleType, official_network: Any, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Its weights as Meta's .pt file."""
    path = tmp_path_factory.mktemp("sam2") / "sam2.1_hiera_tiny.pt"
    official_sam2.save_meta(official_network, path)
    return path


@pytest.fixture(scope="session")
def sam2_package(sam2_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The same, converted for serving: once per session, half a minute."""
    from atrous.jobs.sam2_add import add_sam2

    models = tmp_path_factory.mktemp("sam2-models")
    return add_sam2(models, "hiera_tiny", checkpoint=sam2_checkpoint)
