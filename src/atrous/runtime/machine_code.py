"""Programs of machine code: made once per machine, kept on disk, loaded once per process.

Compiling takes seconds and Numba a hundred megabytes, so that is done in a process of its own.
To load what it made takes LLVM's loader alone, and a tenth of a second.
"""

import contextlib
import ctypes
import hashlib
import importlib.metadata
import logging
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeAlias

from llvmlite import binding

from atrous.disk.whole import write_whole
from atrous.domain.errors import MissingDependency
from atrous.runtime.process_memory import forget_library

logger = logging.getLogger(__name__)

SOURCES = Path(__file__).parent
BESIDE_SOURCES = SOURCES / "__pycache__"  # as with Python's own compiled code
CHECKSUM_BYTES = 32  # before the object file
KEPT_S = 90 * 86_400  # since it was read last: other processors, precisions or versions need it

# Take addresses; let other threads of Python run meanwhile.
Kernels: TypeAlias = Mapping[str, Callable[..., int]]


class MachineCode:
    """A program: a module that writes an object file with functions of addresses."""

    def __init__(
        self,
        module: str,
        others: tuple[str, ...],
        functions: Mapping[str, int],
        arguments: tuple[str, ...] = (),
    ) -> None:
        """Remember what to compile, and the sources as they are now.

        module: of this package, which writes the object file to the path in its last argument.
        others: that it is written with, besides this module; an update of any changes the code.
        functions: in the object file, and how many addresses each takes.
        arguments: of the program that compiles.
        """
        self.module, self._functions, self._arguments = module, functions, arguments
        self._paths = [SOURCES / f"{name}.py" for name in (module, *others, "machine_code")]
        # An update may change the files under a running process.
        self._at_start = self._sources()
        self._lock = threading.Lock()
        self._loading: Future[Kernels] | None = None

    def load(self, folder: Path | None = None) -> "Future[Kernels]":
        """Begin to load it, or to compile it, in a thread; the first call of a process counts.

        The compiled code is kept beside the source, or in `folder` where that can't be written to.
        """
        with self._lock:
            last = self._loading
            if last is None or (last.done() and last.exception() is not None):
                self._loading = last = Future()
                folders = [BESIDE_SOURCES, *([folder] if folder else [])]
                threading.Thread(
                    target=self._fill, args=(last, folders), name="machine code", daemon=True
                ).start()
            return last

    def _fill(self, future: "Future[Kernels]", folders: list[Path]) -> None:
        try:
            kernels = self._read_or_compile(folders)
            forget_library("llvmlite")  # 30 MB of a loader that has done its work
            future.set_result(kernels)
        except BaseException as error:  # noqa: BLE001 - it is raised to all who wait
            future.set_exception(error)

    def _read_or_compile(self, folders: list[Path]) -> Kernels:
        """From a folder that has the code, else made anew, for the first folder to take it."""
        paths = [folder / f"{self.module}-{self.fingerprint}.code" for folder in folders]
        for path in paths:
            code = _read_whole(path)
            if code:
                return _link(code, self._functions)
        code = self._compile()
        kernels = _link(code, self._functions)  # what can't be linked is not kept
        for path in paths:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                write_whole(path, hashlib.sha256(code).digest() + code)
                self._remove_unused(path.parent)
            except OSError as error:
                logger.info("compiled code can't be kept in %s (%s)", path.parent, error.strerror)
            else:
                return kernels
        logger.warning("compiled code can't be kept anywhere; the next start compiles again")
        return kernels

    def _remove_unused(self, folder: Path) -> None:
        """Remove code of this module that nobody has read for long."""
        for path in folder.glob(f"{self.module}-*.code"):
            if time.time() - path.stat().st_mtime > KEPT_S:
                path.unlink(missing_ok=True)

    def _sources(self) -> str:
        return "\n".join(path.read_text() for path in self._paths)

    @property
    def fingerprint(self) -> str:
        """Of all that the compiled code depends on."""
        versions = [_version(name) for name in ("llvmlite", "numba")]
        processor = [binding.get_host_cpu_name(), host_features()]
        facts = [*versions, binding.get_process_triple(), *processor, *self._arguments]
        return hashlib.sha256("\n".join([*facts, self._at_start]).encode()).hexdigest()[:16]

    def _compile(self) -> bytes:
        """The object file, of a process of its own; what it prints does not matter."""
        paths = os.pathsep.join(path for path in sys.path if path)
        try:
            with tempfile.TemporaryDirectory() as folder:
                output = Path(folder) / "code"
                done = subprocess.run(
                    [sys.executable, "-m", f"{__package__}.{self.module}"]
                    + [*self._arguments, str(output)],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    env={**os.environ, "PYTHONPATH": paths},
                )
                reason = done.stderr.decode(errors="replace").strip()[-500:]
                code = b"" if done.returncode else output.read_bytes()
        except OSError as error:  # a full disk, no more processes
            reason, code = str(error), b""
        if not code:
            named = " ".join([self.module, *self._arguments])
            raise MissingDependency(
                f"Numba could not compile {named} ({reason}); is the disk full? Else install "
                "atrous anew, with the versions of constraints.txt"
            )
        if self._sources() != self._at_start:
            raise MissingDependency("atrous was updated while this process ran; start it anew")
        return code


def host_features() -> str:
    """What this machine's processor can do, in LLVM's words; vectors of 512 bits where it has them.

    LLVM halves those, for loops too short to pay for a lower clock rate; ours are a photo wide.
    """
    features = str(binding.get_host_cpu_features().flatten())
    return f"{features},-prefer-256-bit" if "+avx512f" in features else features


def host_target() -> Any:
    """This machine and all that its processor can do, in LLVM's words."""
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    return binding.Target.from_default_triple().create_target_machine(
        cpu=binding.get_host_cpu_name(),
        features=host_features(),
        opt=3,
        jit=True,
        codemodel="jitdefault",
    )


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "none"  # the process that compiles says so


def _read_whole(path: Path) -> bytes | None:
    """Code as it was kept; None where there is none that is whole."""
    try:
        kept = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        logger.warning("%s can't be read (%s), and is made anew", path, error.strerror)
        return None
    checksum, code = kept[:CHECKSUM_BYTES], kept[CHECKSUM_BYTES:]
    if hashlib.sha256(code).digest() != checksum:
        logger.warning("%s is damaged and is made anew", path.name)
        return None
    with contextlib.suppress(OSError):  # another user's
        os.utime(path)
    return code


def _link(code: bytes, functions: Mapping[str, int]) -> Kernels:
    engine = binding.create_mcjit_compiler(binding.parse_assembly(""), host_target())
    engine.add_object_file(binding.ObjectFileRef.from_data(code))
    engine.finalize_object()
    unused = ctypes.create_string_buffer(16)

    def kernel(name: str, count: int) -> Callable[..., int]:
        address = engine.get_function_address(name)
        if not address:
            raise MissingDependency(f"the compiled code has no function {name}")
        function = ctypes.CFUNCTYPE(ctypes.c_int, *[ctypes.c_void_p] * (2 + count))(address)

        def call(*addresses: int) -> int:
            _ = engine  # the code lives as long as the engine does
            return int(function(ctypes.addressof(unused), ctypes.addressof(unused), *addresses))

        return call

    return {name: kernel(name, count) for name, count in functions.items()}
