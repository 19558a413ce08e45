"""The compiled `pixel_kernel.py`: made once per machine, kept on disk, loaded once per process.

Compiling takes seconds and Numba a hundred megabytes, so that is done in a process of its own.
To load what it made takes LLVM's loader alone, and a tenth of a second.
"""

import ctypes
import hashlib
import importlib.metadata
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from llvmlite import binding

from atrous.disk.whole import write_whole
from atrous.domain.errors import MissingDependency
from atrous.runtime.process_memory import forget_library

logger = logging.getLogger(__name__)

KERNEL = "atrous.runtime.pixel_kernel"
SOURCE = Path(__file__).with_name("pixel_kernel.py")
BESIDE_SOURCE = SOURCE.parent / "__pycache__"  # as with Python's own compiled code
SOURCE_AT_START = SOURCE.read_text()  # an update may change the file under a running process
POINTERS = 18  # arguments of `pixel_kernel.write_pixels`
CHECKSUM_BYTES = 32  # before the object file

Kernel = Callable[..., int]  # takes addresses; lets other threads of Python run meanwhile

_lock = threading.Lock()
_loading: "Future[Kernel] | None" = None


def load_kernel(folder: Path | None = None) -> "Future[Kernel]":
    """Begin to load the kernel, or compile it, in a thread; the first call of a process counts.

    The compiled code is kept beside the source, or in `folder` where that can't be written to.
    """
    global _loading
    with _lock:
        failed = _loading is not None and _loading.done() and _loading.exception() is not None
        if _loading is None or failed:
            _loading = Future()
            folders = [BESIDE_SOURCE, *([folder] if folder else [])]
            threading.Thread(
                target=_fill, args=(_loading, folders), name="kernel", daemon=True
            ).start()
        return _loading


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


def _fill(future: "Future[Kernel]", folders: list[Path]) -> None:
    try:
        kernel = _link(_read_or_compile(folders))
        forget_library("llvmlite")  # 30 MB of a loader that has done its work
        future.set_result(kernel)
    except BaseException as error:  # noqa: BLE001 - it is raised to all who wait
        future.set_exception(error)


def _read_or_compile(folders: list[Path]) -> bytes:
    """The object file: from a folder that has it, else a new one, for the first that takes it."""
    paths = [folder / f"pixel_kernel-{_fingerprint()}.code" for folder in folders]
    for path in paths:
        code = _read_whole(path)
        if code:
            return code
    code = _compile()
    for path in paths:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, hashlib.sha256(code).digest() + code)
        except OSError as error:
            logger.info("compiled code can't be kept in %s (%s)", path.parent, error.strerror)
        else:
            return code
    logger.warning("compiled code can't be kept anywhere; the next start compiles again")
    return code


def _read_whole(path: Path) -> bytes | None:
    if not path.is_file():
        return None
    kept = path.read_bytes()
    checksum, code = kept[:CHECKSUM_BYTES], kept[CHECKSUM_BYTES:]
    if hashlib.sha256(code).digest() == checksum:
        return code
    logger.warning("%s is damaged and is made anew", path.name)
    return None


def _fingerprint() -> str:
    """What the compiled code depends on."""
    versions = [importlib.metadata.version(name) for name in ("llvmlite", "numba")]
    processor = [binding.get_host_cpu_name(), host_features()]
    facts = [*versions, binding.get_process_triple(), *processor, SOURCE_AT_START]
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]


def _compile() -> bytes:
    paths = os.pathsep.join(path for path in sys.path if path)
    done = subprocess.run(
        [sys.executable, "-m", KERNEL],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": paths},
        stdin=subprocess.DEVNULL,
    )
    if done.returncode:
        reason = done.stderr.decode(errors="replace").strip()[-500:]
        raise MissingDependency(
            f"Numba could not compile the code that makes masks ({reason}); "
            "install atrous anew, with the versions of constraints.txt"
        )
    if SOURCE.read_text() != SOURCE_AT_START:
        raise MissingDependency("atrous was updated while this process ran; start it anew")
    return done.stdout


def _link(code: bytes) -> Kernel:
    engine = binding.create_mcjit_compiler(binding.parse_assembly(""), host_target())
    engine.add_object_file(binding.ObjectFileRef.from_data(code))
    engine.finalize_object()
    arguments = [ctypes.c_void_p] * (2 + POINTERS)
    function = ctypes.CFUNCTYPE(ctypes.c_int, *arguments)(
        engine.get_function_address("write_pixels")
    )
    unused = ctypes.create_string_buffer(16)

    def kernel(*addresses: int) -> int:
        _ = engine  # the code lives as long as the engine does
        return int(function(ctypes.addressof(unused), ctypes.addressof(unused), *addresses))

    return kernel
