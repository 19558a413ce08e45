"""The processes that share each batch of a training: which one this is, and what they add up to.

One process trains alone, and nothing here does anything. Several, one per GPU, each take a part of
every batch, as the parts that one process computes one after the other where memory is short: a
part's mean loss counts by its share of the labelled pixels, so that the gradients' sum is that of
the whole batch.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import numpy as np
import torch
import torch.distributed
from jaxtyping import Int64, UInt8
from torch import Tensor, nn

from atrous.domain.classes import IGNORE_ID

TIMEOUT = timedelta(minutes=30)  # that one may wait for another; a death is seen at once
Item = TypeVar("Item")


@dataclass(frozen=True)
class Processes:
    """All must call the methods that speak of sums, or of the first, in the same order."""

    rank: int = 0  # of this one
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this is the one that reports, and writes all files."""
        return self.rank == 0

    def part_of(self, items: Sequence[Item]) -> Sequence[Item]:
        """What this process takes of a batch; all together take each item once.

        >>> [Processes(rank, 3).part_of("abcde") for rank in range(3)]
        ['a', 'bc', 'de']
        """
        return items[
            len(items) * self.rank // self.count : len(items) * (self.rank + 1) // self.count
        ]

    def share_of_labelled(self, label_maps: UInt8[Tensor, "part rows columns"]) -> float:
        """The share (0..1) of this process's labelled pixels in those of all processes."""
        if self.count == 1:
            return 1.0
        labelled = float((label_maps != IGNORE_ID).sum())
        return labelled / max(1.0, self.sum(labelled))

    def sum(self, number: float) -> float:
        """The sum of all processes' numbers."""
        if self.count == 1:
            return number
        total = torch.tensor(number, dtype=torch.float64)
        torch.distributed.all_reduce(total)
        return total.item()

    def sum_of_counts(self, counts: Int64[np.ndarray, "*shape"]) -> Int64[np.ndarray, "*shape"]:
        """The sum of all processes' counts, place by place."""
        if self.count == 1:
            return counts
        total = torch.from_numpy(counts.copy())
        torch.distributed.all_reduce(total)
        return total.numpy()

    def of_first(self, number: float) -> float:
        """The first process's number."""
        if self.count == 1:
            return number
        shared = torch.tensor(number, dtype=torch.float64)
        torch.distributed.broadcast(shared, 0)
        return shared.item()

    @torch.no_grad()
    def sum_gradients(self, network: nn.Module) -> None:
        """Replace every gradient by the sum of all processes'."""
        if self.count == 1:
            return
        gradients = [p.grad for p in network.parameters() if p.grad is not None]
        together = torch.cat([gradient.flatten() for gradient in gradients])
        torch.distributed.all_reduce(together)
        pieces = torch.split(together, [gradient.numel() for gradient in gradients])
        for gradient, piece in zip(gradients, pieces, strict=True):
            gradient.copy_(piece.view_as(gradient))

    @torch.no_grad()
    def follow_first(self, *networks: nn.Module) -> None:
        """Take over the first process's weights and statistics of norms."""
        if self.count == 1:
            return
        for network in networks:
            for value in network.state_dict().values():
                own_order = value.contiguous()  # channels-last weights are sent as plain ones
                torch.distributed.broadcast(own_order, 0)
                value.copy_(own_order)


ALONE = Processes()


@contextmanager
def joined() -> Iterator[Processes]:
    """Join the other processes, as the environment variables of torchrun say.

    Numbers and counts travel between CPUs, gradients between GPUs where there are any.
    """
    on_gpus = torch.cuda.is_available()
    if on_gpus:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    torch.distributed.init_process_group(
        "cpu:gloo,cuda:nccl" if on_gpus else "gloo", timeout=TIMEOUT
    )
    try:
        yield Processes(torch.distributed.get_rank(), torch.distributed.get_world_size())
    finally:
        torch.distributed.destroy_process_group()
