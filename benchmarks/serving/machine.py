"""Where figures were measured: processor, memory, versions, date."""

import importlib.metadata
import os
import platform
import re
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

PACKAGES = ("atrous", "openvino", "onnxruntime", "numpy", "opencv-python-headless", "orjson")
THREAD_SETTINGS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "ORT_NUM_THREADS", "OPENBLAS_NUM_THREADS")
FEATURES = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_bf16", "amx_int8")


def machine_facts() -> dict[str, Any]:
    """What another machine's figures can be told apart by; JSON values."""
    text = _read("/proc/cpuinfo")
    model = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    flags = set(re.findall(r"\w+", (re.search(r"^flags\s*:(.+)$", text, re.MULTILINE) or [""])[0]))
    memory = re.search(r"^MemTotal:\s+(\d+) kB", _read("/proc/meminfo"), re.MULTILINE)
    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "processor": model[1] if model else platform.processor() or platform.machine(),
        "features": [name for name in FEATURES if name in flags],
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "memory_gib": round(int(memory[1]) / 2**20, 1) if memory else None,
        "load_average": os.getloadavg()[0],  # before anything was measured; 0 on a quiet machine
        "thread_settings": {
            name: os.environ[name] for name in THREAD_SETTINGS if name in os.environ
        },
        "system": platform.system(),
        "python": platform.python_version(),
        "versions": {name: version_of(name) for name in PACKAGES},
    }


def version_of(name: str) -> str:
    """The version of an installed package, or that it is not installed."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""
