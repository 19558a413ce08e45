"""Compiled once, kept whole, loaded by the next process, made anew where it is damaged."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from atrous.domain.errors import MissingDependency
from atrous.runtime import machine_code
from atrous.runtime.machine_code import load_kernel


@pytest.fixture(scope="module")
def code() -> bytes:
    """Of this machine, compiled by an earlier test or here."""
    return machine_code._read_or_compile([machine_code.BESIDE_SOURCE])


@pytest.fixture(autouse=True)
def new_process(tmp_path: Path, code: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if nothing were loaded, and nothing could be written beside the source."""
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setattr(machine_code, "_loading", None)
    monkeypatch.setattr(machine_code, "BESIDE_SOURCE", tmp_path / "file")


@pytest.fixture
def compilations(code: bytes, monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """How often the compiler was asked."""
    asked: list[bytes] = []

    def compile_() -> bytes:
        asked.append(code)
        return code

    monkeypatch.setattr(machine_code, "_compile", compile_)
    return asked


def test_kept_code_is_not_compiled_again(
    tmp_path: Path, compilations: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    load_kernel(tmp_path / "cache").result()
    assert len(compilations) == 1
    monkeypatch.setattr(machine_code, "_loading", None)
    assert callable(load_kernel(tmp_path / "cache").result())
    assert len(compilations) == 1


@pytest.mark.parametrize(
    ("known", "expected"),
    [("+avx2,+fma", "+avx2,+fma"), ("+avx2,+avx512f", "+avx2,+avx512f,-prefer-256-bit")],
)
def test_wide_vectors_where_there_are_such(
    known: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    features = SimpleNamespace(flatten=lambda: known)
    monkeypatch.setattr(machine_code.binding, "get_host_cpu_features", lambda: features)
    assert machine_code.host_features() == expected


def test_the_first_folder_of_a_process_counts(tmp_path: Path, compilations: list[bytes]) -> None:
    first = load_kernel(tmp_path / "one")
    assert load_kernel(tmp_path / "two") is first
    first.result()
    assert not (tmp_path / "two").exists()
    assert len(compilations) == 1


@pytest.mark.parametrize("damage", [b"", b"short", b"x" * 5000])
def test_damaged_code_is_made_anew(
    damage: bytes, tmp_path: Path, compilations: list[bytes], code: bytes
) -> None:
    machine_code._read_or_compile([tmp_path / "cache"])
    [path] = (tmp_path / "cache").iterdir()
    path.write_bytes(damage)
    assert machine_code._read_or_compile([tmp_path / "cache"]) == code
    assert machine_code._read_or_compile([tmp_path / "cache"]) == code
    assert len(compilations) == 2


def test_another_processor_has_code_of_its_own(
    tmp_path: Path, compilations: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine_code._read_or_compile([tmp_path / "cache"])
    monkeypatch.setattr(machine_code.binding, "get_host_cpu_name", lambda: "another")
    machine_code._read_or_compile([tmp_path / "cache"])
    assert len(compilations) == len(list((tmp_path / "cache").iterdir())) == 2


def test_code_is_kept_beside_the_source_where_that_can_be_written_to(
    tmp_path: Path, compilations: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine_code, "BESIDE_SOURCE", tmp_path / "__pycache__")
    load_kernel(tmp_path / "cache").result()
    assert len(list((tmp_path / "__pycache__").iterdir())) == len(compilations) == 1
    assert not (tmp_path / "cache").exists()


def test_folders_that_cannot_be_written_to_only_cost_time(
    tmp_path: Path, compilations: list[bytes], code: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    assert machine_code._read_or_compile([tmp_path / "file"]) == code
    assert "the next start compiles again" in caplog.text
    assert len(compilations) == 1


def test_a_failure_is_told_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: bytes
) -> None:
    monkeypatch.setattr(machine_code, "KERNEL", "atrous.runtime.no_such_module")
    with pytest.raises(MissingDependency, match="no_such_module"):
        load_kernel(tmp_path).result()
    monkeypatch.setattr(machine_code, "_compile", lambda: code)
    assert callable(load_kernel(tmp_path).result())


def test_code_of_an_update_is_not_run_by_the_process_before_it(
    tmp_path: Path, code: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    updated = tmp_path / "pixel_kernel.py"
    updated.write_text(machine_code.SOURCE_AT_START + "# newer\n")
    compiled = SimpleNamespace(returncode=0, stdout=code, stderr=b"")
    monkeypatch.setattr(machine_code.subprocess, "run", lambda *_, **__: compiled)
    monkeypatch.setattr(machine_code, "SOURCE", updated)
    with pytest.raises(MissingDependency, match="was updated while this process ran"):
        load_kernel(tmp_path / "cache").result()
    assert not (tmp_path / "cache").exists()
