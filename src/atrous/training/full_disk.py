"""What a training says when its folder can't be written any more."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from atrous.disk.whole import FULL
from atrous.domain.errors import TrainingFailed
from atrous.training.checkpoint import has_last
from atrous.training.run_folder import RunFolder


@contextmanager
def explained_write_errors(run: RunFolder) -> Iterator[None]:
    """Turn an OSError while a checkpoint is saved into TrainingFailed with a remedy.

    `write_whole` has left the checkpoint before it as it was.
    """
    try:
        yield
    except OSError as error:
        raise _explained(error, run) from error


@contextmanager
def explained_full_disk(run: RunFolder) -> Iterator[None]:
    """The same for a full disk alone, around what may fail for other reasons, too."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise _explained(error, run) from error


def _explained(error: OSError, run: RunFolder) -> TrainingFailed:
    is_full = error.errno in FULL and error.errno != errno.EFBIG
    why = "the disk is full" if is_full else error.strerror or str(error)
    kept = "the checkpoint before it is kept" if has_last(run) else "no checkpoint is kept"
    size_bytes = sum(path.stat().st_size for path in run.checkpoints.glob("*.safetensors"))
    need = f"free {max(1, size_bytes // 10**6)} MB" if is_full else "repair that"
    return TrainingFailed(
        f"run folder {run.path} can't be written: {why}; {kept}. Then go on with --resume: "
        f"{need} first"
    )
