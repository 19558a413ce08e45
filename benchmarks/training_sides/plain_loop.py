"""The other side: a plain loop over segmentation_models_pytorch, written as its users write it.

AdamW, cross-entropy, a polynomial schedule, autocast where asked, a DataLoader with two processes
that stay, torchvision's v2 transforms. No averaged weights. Photos are decoded each time.
"""

from collections.abc import Iterator
from typing import Any

import segmentation_models_pytorch as smp
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision import tv_tensors
from torchvision.transforms import v2

from atrous.datasets.detect import DatasetOptions, open_dataset
from atrous.datasets.version import Sample
from atrous.domain.recipes import IMAGENET_MEAN, IMAGENET_STD
from training_sides.sides import Job, Side, Turns

RATE = 1e-4
STEPS = 100_000  # of the schedule
WORKERS = 2


class Photos(Dataset[tuple[Tensor, Tensor]]):
    """A data set as its users write it: read, augment, normalise."""

    def __init__(self, samples: tuple[Sample, ...], height: int, width: int) -> None:
        self.samples = samples
        fill: dict[Any, Any] = {tv_tensors.Image: 128, tv_tensors.Mask: 255}
        self.transform = v2.Compose(
            [
                v2.ScaleJitter((height, width), scale_range=(0.5, 2.0), antialias=True),
                v2.RandomCrop((height, width), pad_if_needed=True, fill=fill),
                v2.RandomHorizontalFlip(0.5),
                v2.ColorJitter(brightness=0.3, contrast=0.3, saturation=0.3),
                v2.ToDtype({tv_tensors.Image: torch.float32, "others": None}, scale=True),
                v2.Normalize(IMAGENET_MEAN, IMAGENET_STD),
            ]
        )

    def __len__(self) -> int:
        """Number of photos."""
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """A normalised crop and the class ids of its pixels."""
        image, labels = self.samples[index].read()
        crop, ids = self.transform(
            tv_tensors.Image(torch.from_numpy(image).permute(2, 0, 1)),
            tv_tensors.Mask(torch.from_numpy(labels)),
        )
        return crop.as_subclass(Tensor), ids.as_subclass(Tensor).long()


def train_in_turns(side: Side, job: Job, turns: Turns) -> None:
    """Train epoch after epoch until nothing more is asked."""
    dataset = open_dataset(job.data, DatasetOptions(classes=job.classes, ignore_id=job.ignore_id))
    loader = DataLoader(
        Photos(dataset.splits["train"], job.height, job.width),
        batch_size=job.batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=WORKERS,
        persistent_workers=True,
    )
    layout = torch.channels_last if side.channels_last else torch.contiguous_format
    network = smp.DeepLabV3Plus(
        f"tu-{side.backbone}",
        encoder_weights=None,
        encoder_output_stride=16,
        classes=len(dataset.classes),
    )
    network = network.to(memory_format=layout).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.PolynomialLR(optimizer, STEPS, power=0.9)
    criterion = torch.nn.CrossEntropyLoss(ignore_index=255)
    total = 0.0
    turns.wait()
    for images, labels in turns.timed(_endless(loader)):
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=side.precision == "bf16"):
            logits = network(images.to(memory_format=layout))
            loss = criterion(logits, labels)
        loss.backward()
        optimizer.step()
        schedule.step()
        total += loss.item()
        turns.step_done()


def _endless(loader: DataLoader[tuple[Tensor, Tensor]]) -> Iterator[tuple[Tensor, Tensor]]:
    while True:
        yield from loader
