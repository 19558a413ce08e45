import logging
from collections.abc import Callable
from types import ModuleType

import pytest
import torch

from atrous.deeplab.network import build_network
from atrous.domain.classes import IGNORE_ID
from atrous.domain.errors import TrainingFailed
from atrous.training.batch_parts import is_out_of_memory, parts_of, with_less_memory
from atrous.training.losses import cross_entropy
from atrous.training.processes import Processes

CPU_ERROR = RuntimeError(
    "[enforce fail at alloc_cpu.cpp:131] . DefaultCPUAllocator: can't allocate memory: you tried "
    "to allocate 400000000000000 bytes. Error code 12 (Cannot allocate memory)"
)
Failing = Callable[[int], float]


def failing_below(parts: int, error: BaseException) -> Failing:
    """A step that needs so many parts to fit."""

    def compute(given: int) -> float:
        if given < parts:
            raise error
        return 0.5

    return compute


def labelled_batch(photos: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (photos, 3, 64, 64), generator=generator, dtype=torch.uint8)
    labels = torch.randint(0, 3, (photos, 64, 64), generator=generator, dtype=torch.uint8)
    labels[0, :40] = IGNORE_ID
    labels[-1] = IGNORE_ID
    return images, labels


@pytest.mark.parametrize(
    ("photos", "parts", "sizes"), [(8, 4, [2] * 4), (5, 2, [3, 2]), (2, 8, [1, 1])]
)
def test_parts_make_up_the_batch(photos: int, parts: int, sizes: list[int]) -> None:
    images, labels = labelled_batch(photos)
    pieces = list(parts_of(images, labels, parts))
    assert [len(piece) for piece, _, _ in pieces] == sizes
    assert torch.equal(torch.cat([piece for piece, _, _ in pieces]), images)
    assert torch.equal(torch.cat([piece for _, piece, _ in pieces]), labels)
    assert sum(share for _, _, share in pieces) == pytest.approx(1)


def test_one_part_is_the_batch_itself() -> None:
    images, labels = labelled_batch(3)
    [(photos, ids, share)] = parts_of(images, labels, 1)
    assert (photos is images, ids is labels, share) == (True, True, 1.0)
    ignored = torch.full_like(labels, IGNORE_ID)
    assert [share for _, _, share in parts_of(images, ignored, 3)] == [0, 0, 0]


def test_the_gradient_is_that_of_the_whole_batch(tiny: ModuleType) -> None:
    """Exactly so but for batch norms, which are frozen here."""
    torch.manual_seed(0)
    network = build_network("deeplabv3plus", tiny.BACKBONE, 3).eval()
    images, labels = labelled_batch(5)
    gradients = []
    for parts in (1, 3):
        network.zero_grad()
        for photos, ids, share in parts_of(images, labels, parts):
            (share * cross_entropy(network(photos / 255), ids.long())).backward()
        gradients.append([parameter.grad.clone() for parameter in network.parameters()])
    for whole, summed in zip(*gradients, strict=True):
        torch.testing.assert_close(summed, whole, rtol=1e-3, atol=1e-5)


def test_the_share_is_of_the_pixels_that_the_loss_sees() -> None:
    images, labels = labelled_batch(4)
    seen = labels[:, ::2, 1::2]
    shares = [share for _, _, share in parts_of(images, seen, 2)]
    counts = [int((half != IGNORE_ID).sum()) for half in seen.tensor_split(2)]
    assert shares == [count / sum(counts) for count in counts]


@pytest.mark.parametrize(
    "error", [CPU_ERROR, torch.OutOfMemoryError("CUDA out of memory."), MemoryError()]
)
def test_parts_are_doubled_until_the_memory_suffices(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    assert is_out_of_memory(error)
    with caplog.at_level(logging.WARNING):
        assert with_less_memory(failing_below(3, error), 1, 8) == (0.5, 4)
    assert "each batch of 8 photos is computed in 2 parts of 4" in caplog.text
    assert "each batch of 8 photos is computed in 4 parts of 2; the effective batch size stays" in (
        caplog.text
    )


def test_parts_are_photos_at_least() -> None:
    assert with_less_memory(failing_below(3, CPU_ERROR), 2, 3) == (0.5, 3)
    with pytest.raises(TrainingFailed, match="a single photo; give a smaller --size"):
        with_less_memory(failing_below(9, CPU_ERROR), 1, 8)


def test_several_processes_can_t_each_change_their_parts() -> None:
    with pytest.raises(TrainingFailed, match="process 2 of 2 .* 4 photos at once.*accumulation=2"):
        with_less_memory(failing_below(2, CPU_ERROR), 1, 4, Processes(1, 2))


def test_other_errors_are_left_alone() -> None:
    error = RuntimeError("shapes do not fit")
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        with_less_memory(failing_below(2, error), 1, 8)


def test_what_torch_really_raises() -> None:
    with pytest.raises(RuntimeError) as refused:
        torch.empty(10**17, dtype=torch.uint8)
    assert is_out_of_memory(refused.value)
