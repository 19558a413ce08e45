"""Keep freed memory in the process: handing it back and forth costs a third of a training step."""

import logging

from atrous.runtime.process_memory import M_MMAP_MAX, M_TOP_PAD, M_TRIM_THRESHOLD, set_malloc

logger = logging.getLogger(__name__)

TOP_PAD_BYTES = 256 * 1024**2
NEVER = -1


def keep_freed_memory() -> bool:
    """Have glibc reuse large blocks instead of returning each one to the kernel.

    By default every tensor of more than 32 MiB is mapped anew, and its pages are faulted in and
    zeroed, in every step. Gives whether it was set: only glibc (Linux) has these options. The
    process then keeps its highest memory use until it ends.
    """
    done = set_malloc({M_MMAP_MAX: 0, M_TRIM_THRESHOLD: NEVER, M_TOP_PAD: TOP_PAD_BYTES})
    logger.debug("freed memory is kept: %s", done)
    return done
