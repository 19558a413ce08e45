"""Keep freed memory in the process: handing it back and forth costs a third of a training step."""

import ctypes
import logging
import sys

logger = logging.getLogger(__name__)

# Names of glibc's malloc.h, mallopt(3).
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
TOP_PAD_BYTES = 256 * 1024**2
NEVER = -1


def keep_freed_memory() -> bool:
    """Have glibc reuse large blocks instead of returning each one to the kernel.

    By default every tensor of more than 32 MiB is mapped anew, and its pages are faulted in and
    zeroed, in every step. Gives whether it was set: only glibc (Linux) has these options. The
    process then keeps its highest memory use until it ends.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # another C library
        return False
    wanted = ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, NEVER), (M_TOP_PAD, TOP_PAD_BYTES))
    results = [mallopt(option, value) for option, value in wanted]
    done = all(result == 1 for result in results)
    logger.debug("freed memory is kept: %s", done)
    return done
