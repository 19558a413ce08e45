"""The training split as batches: decoded once, augmented anew each epoch, in a seeded order."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from atrous.datasets.version import Sample
from atrous.domain.recipes import TrainingRecipe
from atrous.images.preprocess import fit_image, fit_label_map
from atrous.training.augment import augment

CACHE_BYTES = 2 * 1024**3  # of decoded photos and labels, in each process that augments


class TrainingSamples(Dataset[tuple[Tensor, Tensor]]):
    """Photo and label crops by (epoch, index): the same pair gives the same crop, always.

    The random state of a crop comes from the recipe's seed, the epoch and the index alone, so a
    resumed training sees what an uninterrupted one would have seen, with any number of workers.
    """

    def __init__(self, samples: Sequence[Sample], recipe: TrainingRecipe) -> None:
        self.samples = samples
        self.recipe = recipe
        self._cache: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self._cached_bytes = 0

    def __len__(self) -> int:
        """Number of photos."""
        return len(self.samples)

    def __getitem__(
        self, key: tuple[int, int]
    ) -> tuple[UInt8[Tensor, "3 height width"], UInt8[Tensor, "height width"]]:
        """The crop of photo `index` in `epoch`: RGB 0..255, and class ids with 255 ignored."""
        epoch, index = key
        image, label_map = self._read(index)
        generator = torch.Generator()
        generator.manual_seed(_mix(self.recipe.seed, epoch, index))
        return augment(
            torch.from_numpy(image).permute(2, 0, 1),
            torch.from_numpy(label_map),
            self.recipe,
            generator,
        )

    def _read(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """A photo and its label at the network's input size, from the cache where it fits."""
        if index in self._cache:
            return self._cache[index]
        image, label_map = self.samples[index].read()
        fitted, placement = fit_image(image, self.recipe.preprocess)
        pair = (fitted, fit_label_map(label_map, placement))
        size_bytes = pair[0].nbytes + pair[1].nbytes
        if self._cached_bytes + size_bytes <= CACHE_BYTES:
            self._cache[index] = pair
            self._cached_bytes += size_bytes
        return pair


def batches_of_epoch(
    samples: TrainingSamples, epoch: int
) -> Iterator[tuple[UInt8[Tensor, "batch 3 height width"], UInt8[Tensor, "batch height width"]]]:
    """All photos once, in an order drawn from the seed and the epoch.

    A last batch that is not full is dropped, unless it is the only one.
    """
    recipe = samples.recipe
    order = np.random.default_rng([recipe.seed, epoch]).permutation(len(samples))
    loader = DataLoader(
        samples,
        sampler=[(epoch, int(index)) for index in order],
        batch_size=min(recipe.batch_size, len(samples)),
        drop_last=True,
        num_workers=recipe.workers,
        pin_memory=torch.cuda.is_available(),
    )
    yield from loader


def steps_per_epoch(photos: int, batch_size: int) -> int:
    """Batches that one epoch has.

    >>> steps_per_epoch(20, 8), steps_per_epoch(3, 8)
    (2, 1)
    """
    return max(1, photos // batch_size)


def normalize_batch(
    batch: UInt8[Tensor, "batch 3 height width"], recipe: TrainingRecipe
) -> Float32[Tensor, "batch 3 height width"]:
    """What `images.preprocess.normalize` does, for a batch on its device (a test compares both)."""
    preprocess = recipe.preprocess
    mean = torch.tensor(preprocess.mean, device=batch.device).view(1, 3, 1, 1)
    std = torch.tensor(preprocess.std, device=batch.device).view(1, 3, 1, 1)
    channels = batch if preprocess.color_mode == "rgb" else batch.flip(1)
    return (channels.float() / preprocess.scaling_factor - mean) / std


def _mix(seed: int, epoch: int, index: int) -> int:
    """One 63-bit seed out of three numbers."""
    state = np.random.SeedSequence([seed, epoch, index]).generate_state(2, np.uint32)
    return (int(state[0]) << 31) ^ int(state[1])
