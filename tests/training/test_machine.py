from pathlib import Path

import pytest
import torch

from atrous.training.machine import UNKNOWN_BYTES, Machine, devices_here, free_memory_bytes


def test_this_machine() -> None:
    machine = Machine.here()
    assert machine.cores >= 1
    assert machine.memory_bytes > 10**7
    assert (machine.gpu is None) == (not torch.cuda.is_available())


def test_a_gpu_s_memory_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (7 * 10**9, 8 * 10**9))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Card 8")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    machine = Machine.here()
    assert (machine.memory_bytes, machine.gpu, machine.gpus) == (7 * 10**9, "Card 8", 3)
    assert str(machine).endswith("cores, 7.0 GB on Card 8")


@pytest.mark.parametrize(
    ("limit", "used", "free_kb"), [("max", "5", 2000), ("1024000", "512000", 500), ("10", "20", 0)]
)
def test_a_container_s_limit_counts(tmp_path: Path, limit: str, used: str, free_kb: int) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 4000 kB\nMemFree: 100 kB\nMemAvailable:    2000 kB\n")
    (tmp_path / "memory.max").write_text(f"{limit}\n")
    (tmp_path / "memory.current").write_text(f"{used}\n")
    assert free_memory_bytes(meminfo, tmp_path) == free_kb * 1024


def test_files_that_a_container_has_read_are_given_up(tmp_path: Path) -> None:
    """A data set that was checked fills a container's memory without taking it from anybody."""
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("990\n")
    stat = "anon 90\ninactive_file 600\nactive_file 300\n"
    (tmp_path / "memory.stat").write_text(stat)
    assert free_memory_bytes(tmp_path / "meminfo", tmp_path) == 910


def test_where_the_system_does_not_say(tmp_path: Path) -> None:
    assert free_memory_bytes(tmp_path / "meminfo", tmp_path) == UNKNOWN_BYTES
    assert str(Machine(2, 3 * 10**9)) == "2 cores, 3.0 GB free"


@pytest.mark.parametrize(
    ("gpus", "wanted", "here"), [(0, 1, 1), (0, 2, 2), (4, 2, 2), (2, 4, 2), (1, 1, 1)]
)
def test_no_more_devices_than_gpus(
    gpus: int, wanted: int, here: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a GPU as many processes as wanted share the CPU."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    assert devices_here(wanted) == here
