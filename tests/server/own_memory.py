"""How much memory this process has for itself."""

from pathlib import Path

from atrous.runtime.process_memory import give_back_freed

STATUS = Path("/proc/self/status")


def own_bytes() -> int | None:
    """Without what it has freed, nor files that it maps; None where the system does not say.

    What was swapped out counts: how much of it is in RAM depends on other programs.
    """
    give_back_freed()
    if not STATUS.exists():
        return None
    fields = dict(line.split(":", 1) for line in STATUS.read_text().splitlines())
    return sum(int(fields[name].split()[0]) for name in ("RssAnon", "VmSwap")) * 1024
