"""What a training says when its folder can't be written any more."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from atrous.domain.errors import TrainingFailed
from atrous.training.run_folder import RunFolder

FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def explained_write_errors(run: RunFolder, epochs_kept: int) -> Iterator[None]:
    """Turn an OSError while an epoch is saved into TrainingFailed with a remedy.

    epochs_kept: epochs of the checkpoint on the disk, which `write_whole` has left as it was.
    """
    try:
        yield
    except OSError as error:
        raise _explained(error, run, epochs_kept) from error


@contextmanager
def explained_full_disk(run: RunFolder, epochs_kept: int) -> Iterator[None]:
    """The same for a full disk alone, around what may fail for other reasons, too."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise _explained(error, run, epochs_kept) from error


def _explained(error: OSError, run: RunFolder, epochs_kept: int) -> TrainingFailed:
    why = "the disk is full" if error.errno in FULL else error.strerror or str(error)
    kept = f"the checkpoint of epoch {epochs_kept} is kept" if epochs_kept else "none is kept"
    size_bytes = sum(path.stat().st_size for path in run.checkpoints.glob("*.safetensors"))
    need = f"free {max(1, size_bytes // 10**6)} MB" if error.errno in FULL else "repair that"
    return TrainingFailed(
        f"run folder {run.path} can't be written: {why}; {kept}. Then go on with --resume: "
        f"{need} first"
    )
