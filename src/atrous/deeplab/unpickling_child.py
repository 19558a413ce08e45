"""The process that opens one pickled file: `python -m atrous.deeplab.unpickling_child FILE TARGET`.

Unpickling has been broken into twice although it was restricted to weights (CVE-2025-32434,
CVE-2026-24747), and a damaged file may end the process that reads it. So this happens in a process
of its own with little memory and time, which leaves plain tensors as safetensors.
"""

import json
import pickle
import struct
import sys
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError

from atrous.deeplab.checkpoint_files import bare_state_dict
from atrous.domain.errors import BadInput

REFUSED = 3  # the exit code of a file that is understood, and not what it should be
CPU_S = 60.0  # and one second more per SLOWEST_BYTES of the file
SLOWEST_BYTES = 20_000_000
SPARE_BYTES = 1 << 30
COPIES = 4  # of the file: as it is read, its tensors, and as they are written
UNREADABLE = (
    pickle.UnpicklingError,
    SafetensorError,
    RuntimeError,
    EOFError,
    OSError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    MemoryError,
    struct.error,
)


def main(file: str, target: str, wrapper: str) -> int:
    """Write the tensors, and say on standard output as JSON their names in the file's order, or
    why they can't be had; gives the exit code.
    """
    try:
        limit_this_process(Path(file).stat().st_size)
        names = write_tensors(Path(file), Path(target), wrapper)
    except BadInput as error:
        return _tell("refused", str(error))
    except UNREADABLE as error:
        first = str(error).splitlines()[0] if str(error) else "no message"
        return _tell("unreadable", f"{type(error).__name__}: {first}")
    sys.stdout.write(json.dumps({"names": names}))
    return 0


def write_tensors(file: Path, target: Path, wrapper: str) -> list[str]:
    """Write the tensors of a pickled file as safetensors; nothing else of it is kept.

    Gives their names, in the order that they have in the file, which safetensors do not keep.
    """
    checkpoint = torch.load(file, map_location="cpu", weights_only=True)
    state = bare_state_dict(checkpoint, wrapper=wrapper)
    # Copies: two names of one tensor, or parts of one, can't be written.
    apart = {name: tensor.detach().clone().contiguous() for name, tensor in state.items()}
    safetensors.torch.save_file(apart, target)
    return list(apart)


def limit_this_process(size_bytes: int) -> None:
    """Bound memory and processor time by the size of the file; on Linux alone."""
    if sys.platform != "linux":
        return
    import resource  # Unix has it

    status = Path("/proc/self/status").read_text()
    held = int(status.split("VmData:")[1].split()[0]) * 1024
    _lower(resource.RLIMIT_DATA, held + SPARE_BYTES + COPIES * size_bytes)
    _lower(resource.RLIMIT_CPU, round(CPU_S + size_bytes / SLOWEST_BYTES))


def _lower(kind: int, limit: int) -> None:
    import resource

    _, most = resource.getrlimit(kind)
    limit = limit if most == resource.RLIM_INFINITY else min(limit, most)
    resource.setrlimit(kind, (limit, limit))


def _tell(kind: str, reason: str) -> int:
    sys.stdout.write(json.dumps({kind: reason}))
    return REFUSED


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
