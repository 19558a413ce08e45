"""A batch that is too large for the memory, computed in parts with the same effective size."""

import logging
from collections.abc import Callable, Iterator

import torch
from jaxtyping import UInt8
from torch import Tensor

from atrous.domain.classes import IGNORE_ID
from atrous.domain.errors import CPU_ALLOCATION, OutOfMemory, TrainingFailed
from atrous.training.processes import ALONE, Processes

logger = logging.getLogger(__name__)


def parts_of(
    images: UInt8[Tensor, "batch 3 height width"],
    label_maps: UInt8[Tensor, "batch rows columns"],
    parts: int,
) -> Iterator[
    tuple[UInt8[Tensor, "part 3 height width"], UInt8[Tensor, "part rows columns"], float]
]:
    """The photos and labels of each part, and its share in the batch's loss.

    label_maps: of the pixels that the loss sees, which need not be all of a photo's.
    The share is that of the labelled pixels: the sum of the parts' mean losses over all of them
    (`ce`, `focal`) is the whole batch's then, exactly, and so is its gradient. Losses over hard
    pixels or over regions are those of each part.
    """
    parts = min(parts, len(images))
    if parts == 1:
        yield images, label_maps, 1.0
        return
    labelled = max(1, int((label_maps != IGNORE_ID).sum()))
    for photos, labels in zip(
        images.tensor_split(parts), label_maps.tensor_split(parts), strict=True
    ):
        yield photos, labels, int((labels != IGNORE_ID).sum()) / labelled


def with_less_memory(
    compute: Callable[[int], float], parts: int, photos: int, processes: Processes = ALONE
) -> tuple[float, int]:
    """Call `compute(parts)`, with twice the parts each time the memory does not suffice.

    Gives its result and the parts that it took. Raises TrainingFailed where not even a single
    photo fits, and OutOfMemory where there are several processes: they would wait for each other
    in different parts.
    """
    while True:
        try:
            return compute(parts), parts
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if parts >= photos:
                raise TrainingFailed(
                    "the memory does not suffice for a single photo; give a smaller --size, "
                    "a lighter --backbone, or close other programs"
                ) from error
            if processes.count > 1:
                raise OutOfMemory(
                    f"the memory of process {processes.rank + 1} of {processes.count} does not "
                    f"suffice for {-(-photos // parts)} photos at once; start anew with --set "
                    f"accumulation={min(photos, 2 * parts)}, or with a smaller --batch-size"
                ) from error
        # Here and not in the handler, whose traceback holds on to the tensors.
        parts = min(photos, 2 * parts)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        logger.warning(
            "out of memory: from here on each batch of %d photos is computed in %d parts of %d; "
            "the effective batch size stays",
            photos,
            parts,
            -(-photos // parts),
        )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch or NumPy failed for want of memory."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return any(phrase in str(error) for phrase in CPU_ALLOCATION)
