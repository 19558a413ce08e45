"""Compiled once, kept whole, loaded by the next process, made anew where it is damaged."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from llvmlite import binding

from atrous.domain.errors import MissingDependency
from atrous.runtime import machine_code
from atrous.runtime.machine_code import CHECKSUM_BYTES, KEPT_S, MachineCode

FUNCTIONS = {"write_pixels": 18}
SOURCES = ("pixel_kernel.py", "vector_code.py", "machine_code.py")


def new_process(arguments: tuple[str, ...] = ()) -> MachineCode:
    """A program as a process that starts now has it."""
    return MachineCode("pixel_kernel", ("vector_code",), FUNCTIONS, arguments)


@pytest.fixture(scope="module")
def code(object_file_of: Callable[[MachineCode], bytes]) -> bytes:
    """Of this machine, compiled by an earlier test or here."""
    return object_file_of(new_process())


@pytest.fixture(autouse=True)
def nothing_beside_the_sources(
    tmp_path: Path, code: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if nothing could be written there."""
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setattr(machine_code, "BESIDE_SOURCES", tmp_path / "file")


@pytest.fixture
def compilations(code: bytes, monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """How often the compiler was asked."""
    asked: list[bytes] = []

    def compile_(_: MachineCode) -> bytes:
        asked.append(code)
        return code

    monkeypatch.setattr(MachineCode, "_compile", compile_)
    return asked


@pytest.fixture
def asked_for(code: bytes, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands of processes that compile, each of which writes the code at once."""
    commands: list[list[str]] = []

    def run(command: list[str], **_: object) -> SimpleNamespace:
        commands.append(command)
        Path(command[-1]).write_bytes(code)
        return SimpleNamespace(returncode=0, stderr=b"")

    monkeypatch.setattr(machine_code.subprocess, "run", run)
    return commands


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the sources, which may be changed."""
    folder = tmp_path / "sources"
    folder.mkdir()
    for name in SOURCES:
        (folder / name).write_text((machine_code.SOURCES / name).read_text())
    monkeypatch.setattr(machine_code, "SOURCES", folder)
    return folder


def update(source: Path) -> None:
    source.write_text(source.read_text() + "# newer\n")


def test_kept_code_is_not_compiled_again(tmp_path: Path, compilations: list[bytes]) -> None:
    new_process().load(tmp_path / "cache").result()
    assert len(compilations) == 1
    assert callable(new_process().load(tmp_path / "cache").result()["write_pixels"])
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
    program = new_process()
    first = program.load(tmp_path / "one")
    assert program.load(tmp_path / "two") is first
    first.result()
    assert not (tmp_path / "two").exists()
    assert len(compilations) == 1


@pytest.mark.parametrize("damage", [b"", b"short", b"x" * 5000])
def test_damaged_code_is_made_anew(
    damage: bytes, tmp_path: Path, compilations: list[bytes], code: bytes
) -> None:
    new_process()._read_or_compile([tmp_path / "cache"])
    [path] = (tmp_path / "cache").iterdir()
    path.write_bytes(damage)
    for _ in range(2):
        assert "write_pixels" in new_process()._read_or_compile([tmp_path / "cache"])
        assert path.read_bytes()[CHECKSUM_BYTES:] == code
    assert len(compilations) == 2


def test_what_lies_where_code_should_be_only_costs_time(
    tmp_path: Path, compilations: list[bytes], caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / f"pixel_kernel-{new_process().fingerprint}.code").mkdir()
    assert "write_pixels" in new_process()._read_or_compile([tmp_path, tmp_path / "two"])
    assert len(compilations) == len(list((tmp_path / "two").iterdir())) == 1
    assert "can't be read (Is a directory)" in caplog.text


def test_what_can_not_be_linked_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = new_process()
    monkeypatch.setattr(program, "_compile", lambda: object_file(TWO_FUNCTIONS))
    with pytest.raises(MissingDependency, match="has no function write_pixels"):
        program.load(tmp_path / "cache").result()
    assert not (tmp_path / "cache").exists()


def test_code_that_nobody_reads_is_removed(tmp_path: Path, compilations: list[bytes]) -> None:
    unused, other = tmp_path / "pixel_kernel-00.code", tmp_path / "prompt_kernel-00.code"
    for path in (unused, other):
        path.write_bytes(b"old")
        os.utime(path, (0, 0))
    new_process()._read_or_compile([tmp_path])
    kept = {path.name for path in tmp_path.glob("*.code")} - {other.name}
    assert kept == {f"pixel_kernel-{new_process().fingerprint}.code"}
    assert other.exists()


def test_reading_keeps_code(tmp_path: Path, compilations: list[bytes]) -> None:
    new_process()._read_or_compile([tmp_path])
    [path] = tmp_path.glob("*.code")
    os.utime(path, (0, 0))
    new_process()._read_or_compile([tmp_path])
    assert path.stat().st_mtime > KEPT_S
    new_process(("other",))._read_or_compile([tmp_path])
    assert path.exists()
    assert len(compilations) == 2


def test_what_the_compiling_process_prints_does_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As what people put on their path does, and Numba where it is asked to."""
    (tmp_path / "sitecustomize.py").write_text("print('hello')")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setenv("NUMBA_DUMP_OPTIMIZED", "1")
    assert "write_pixels" in new_process().load(tmp_path / "cache").result()


def test_another_processor_has_code_of_its_own(
    tmp_path: Path, compilations: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    new_process()._read_or_compile([tmp_path / "cache"])
    monkeypatch.setattr(machine_code.binding, "get_host_cpu_name", lambda: "another")
    new_process()._read_or_compile([tmp_path / "cache"])
    assert len(compilations) == len(list((tmp_path / "cache").iterdir())) == 2


def test_other_arguments_have_code_of_their_own(tmp_path: Path, compilations: list[bytes]) -> None:
    for arguments in [(), ("bf16",), (), ("bf16",)]:
        new_process(arguments)._read_or_compile([tmp_path / "cache"])
    assert len(compilations) == len(list((tmp_path / "cache").iterdir())) == 2


@pytest.mark.parametrize("updated", SOURCES)
def test_an_update_of_any_source_has_code_of_its_own(
    updated: str, sources: Path, tmp_path: Path, compilations: list[bytes]
) -> None:
    new_process()._read_or_compile([tmp_path / "cache"])
    update(sources / updated)
    new_process()._read_or_compile([tmp_path / "cache"])
    assert len(compilations) == len(list((tmp_path / "cache").iterdir())) == 2


def test_code_is_kept_beside_the_source_where_that_can_be_written_to(
    tmp_path: Path, compilations: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine_code, "BESIDE_SOURCES", tmp_path / "__pycache__")
    new_process().load(tmp_path / "cache").result()
    assert len(list((tmp_path / "__pycache__").iterdir())) == len(compilations) == 1
    assert not (tmp_path / "cache").exists()


def test_folders_that_cannot_be_written_to_only_cost_time(
    tmp_path: Path, compilations: list[bytes], code: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    assert "write_pixels" in new_process()._read_or_compile([tmp_path / "file"])
    assert "the next start compiles again" in caplog.text
    assert len(compilations) == 1


def test_a_failure_is_told_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: bytes
) -> None:
    program = new_process()
    program.module = "no_such_module"
    with pytest.raises(MissingDependency, match="no_such_module"):
        program.load(tmp_path).result()
    monkeypatch.setattr(program, "_compile", lambda: code)
    assert callable(program.load(tmp_path).result()["write_pixels"])


@pytest.mark.parametrize("updated", SOURCES)
def test_code_of_an_update_is_not_run_by_the_process_before_it(
    updated: str, sources: Path, tmp_path: Path, asked_for: list[list[str]]
) -> None:
    program = new_process()
    update(sources / updated)
    with pytest.raises(MissingDependency, match="was updated while this process ran"):
        program.load(tmp_path / "cache").result()
    assert not (tmp_path / "cache").exists()
    assert len(asked_for) == 1


@pytest.mark.parametrize("missing", ["numba", "a process", "space"])
def test_what_compiling_lacks_is_told(
    missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = new_process()
    if missing == "numba":
        nothing = tmp_path / "numba"
        nothing.mkdir()
        (nothing / "__init__.py").write_text("raise ModuleNotFoundError('no numba here')")
        monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])

        def version(package: str) -> str:
            raise machine_code.importlib.metadata.PackageNotFoundError(package)

        monkeypatch.setattr(machine_code.importlib.metadata, "version", version)
        expected = "no numba here"
    elif missing == "a process":
        monkeypatch.setattr(machine_code.subprocess, "run", fail("no more processes"))
        expected = "no more processes"
    else:
        monkeypatch.setattr(machine_code.tempfile, "TemporaryDirectory", fail("disk is full"))
        expected = "disk is full"
    with pytest.raises(MissingDependency, match=f"(?s)could not compile pixel_kernel .*{expected}"):
        program.load(tmp_path / "cache").result()


def fail(why: str) -> Callable[..., object]:
    def failing(*_: object, **__: object) -> object:
        raise OSError(why)

    return failing


def test_the_program_that_compiles_is_given_the_arguments(
    tmp_path: Path, asked_for: list[list[str]]
) -> None:
    new_process(("bf16", "slow")).load(tmp_path).result()
    assert [command[1:-1] for command in asked_for] == [
        ["-m", "atrous.runtime.pixel_kernel", "bf16", "slow"]
    ]


def test_functions_of_a_program_are_known_by_their_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = MachineCode("pixel_kernel", (), {"two": 2, "one": 1})
    monkeypatch.setattr(program, "_compile", lambda: object_file(TWO_FUNCTIONS))
    kernels = program.load(tmp_path).result()
    first, second = np.zeros(2, np.int32), np.zeros(2, np.int32)
    assert kernels["two"](first.ctypes.data, second.ctypes.data) == 22
    assert (*first, *second) == (0, 0, 2, 0)
    assert kernels["one"](first.ctypes.data) == 11
    assert (*first, *second) == (1, 0, 2, 0)


TWO_FUNCTIONS = """
define i32 @one(i8*, i8*, i32* %a) {
  store i32 1, i32* %a
  ret i32 11
}
define i32 @two(i8*, i8*, i32* %a, i32* %b) {
  store i32 2, i32* %b
  ret i32 22
}
"""


def object_file(assembly: str) -> bytes:
    target = machine_code.host_target()
    module = binding.parse_assembly(assembly)
    module.triple = binding.get_process_triple()
    return bytes(target.emit_object(module))
