import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from atrous.domain.geometry import Size
from atrous.runtime import compiled_networks
from atrous.runtime.compiled_networks import Environment, MappedFile, Slot, remove_compiled


def test_the_environment_names_machine_and_engines() -> None:
    here = Environment.here()
    assert here == Environment.here()
    assert here.processor
    assert {"openvino", "onnxruntime"} <= set(here.versions)
    assert replace(here, versions={"openvino": "0"}).digest != here.digest
    assert replace(here, gpus=here.gpus + 1).digest != here.digest


def test_a_newer_version_takes_the_place_of_the_older(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slot = Slot(tmp_path / "cache", "a" * 64, "fp32", Size(32, 48))
    other = replace(slot, precision="bf16")
    slot.keep(b"old")
    other.keep(b"other")
    old = slot.path
    later = replace(Environment.here(), versions={"openvino": "9999"})
    monkeypatch.setattr(compiled_networks.Environment, "here", lambda: later)
    assert not slot.path.exists()
    slot.keep(b"new")
    assert MappedFile(slot.path).data.tobytes() == b"new"
    assert not old.exists()
    assert len(list(slot.folder.iterdir())) == 2


def test_precisions_that_were_not_chosen_are_removed(tmp_path: Path) -> None:
    slots = [
        Slot(tmp_path, letter * 64, kind, None) for letter in "ab" for kind in ("fp32", "bf16")
    ]
    for slot in slots:
        slot.keep(b"compiled")
    remove_compiled(tmp_path, "a" * 64, but="bf16")
    assert [slot.path.exists() for slot in slots] == [False, True, True, True]


def test_pages_come_back_from_the_disk(tmp_path: Path) -> None:
    slot = Slot(tmp_path, "a" * 64, "fp32", None)
    slot.keep(bytes(range(256)) * 64)
    mapped = MappedFile(slot.path)
    before = mapped.data.copy()
    mapped.forget_pages()
    assert (mapped.data == before).all()
    with mapped.forgetting():
        for _ in range(20):
            time.sleep(0.001)
            assert (mapped.data == before).all()


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_pages_are_left_to_the_disk(tmp_path: Path) -> None:
    slot = Slot(tmp_path, "a" * 64, "fp32", None)
    slot.keep(bytes(5 << 20))
    mapped = MappedFile(slot.path)
    assert resident_kib(slot.path) < 100  # though its checksum was made of all of them
    assert not mapped.data.any()
    assert resident_kib(slot.path) >= 5 << 10
    with mapped.forgetting():
        assert not mapped.data.any()
    assert resident_kib(slot.path) < 100


def resident_kib(path: Path) -> int:
    """How much of a mapped file is in this process's memory."""
    lines = iter(Path("/proc/self/smaps").read_text().splitlines())
    for line in lines:
        if line.endswith(f" {path}"):
            return next(int(fact.split()[1]) for fact in lines if fact.startswith("Rss:"))
    raise AssertionError(f"{path} is not mapped")


@pytest.mark.parametrize("damage", [lambda kept: b"", lambda kept: kept[:-1], bytes.upper])
def test_a_file_that_is_not_what_was_written_is_refused(
    tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    slot = Slot(tmp_path, "a" * 64, "fp32", None)
    slot.keep(b"compiled")
    assert MappedFile(slot.path).data.tobytes() == b"compiled"
    slot.path.write_bytes(damage(slot.path.read_bytes()))
    with pytest.raises(ValueError, match="empty|checksum"):
        MappedFile(slot.path)
