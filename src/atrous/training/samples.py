"""The training split as batches: decoded once, augmented anew each epoch, in a seeded order."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from atrous.datasets.augmentations.augmentation import augment as change
from atrous.datasets.augmentations.augmentation import random_stream
from atrous.datasets.augmentations.reading import augmentation_from_text
from atrous.datasets.version import Sample
from atrous.domain.geometry import Size
from atrous.domain.recipes import TrainingRecipe
from atrous.images.preprocess import fit_image, fit_label_map
from atrous.training.augment import augment
from atrous.training.copy_paste import copy_paste_of
from atrous.training.photo_cache import PhotoCache, cache_bytes
from atrous.training.processes import ALONE, Processes
from atrous.training.repeat_factors import (
    classes_in,
    epoch_length,
    repeat_factors,
    repeats_in_epoch,
)

# Workers share the cache of photos with whoever starts them only where they are forked, which
# Python 3.14 no longer does on its own. Elsewhere each has a cache of its own.
FORK = "fork" if sys.platform == "linux" else None


class TrainingSamples(Dataset[tuple[Tensor, Tensor]]):
    """Photo and label crops by (epoch, index): the same pair gives the same crop, always.

    The random state of a crop comes from the recipe's seed, the epoch and the index alone, so a
    resumed training sees what an uninterrupted one would have seen, with any number of workers.
    """

    def __init__(self, samples: Sequence[Sample], recipe: TrainingRecipe) -> None:
        self.samples = samples
        self.recipe = recipe
        self._factors = (
            repeat_factors(classes_in(samples), recipe.repeat_threshold)
            if recipe.repeat_threshold
            else np.ones(len(samples))
        )
        self._augmentation, _ = augmentation_from_text(recipe.augmentation)
        self._copy_paste = copy_paste_of(samples, recipe.copy_paste)
        room_bytes = cache_bytes(recipe.devices)
        self._cache = PhotoCache(len(samples), recipe.preprocess.size, room_bytes)

    def __len__(self) -> int:
        """Number of photos."""
        return len(self.samples)

    @property
    def epoch_length(self) -> int:
        """Crops in an epoch: a photo of a rare class may come more than once."""
        return epoch_length(self._factors)

    @property
    def batch_size(self) -> int:
        """Crops in a step of all processes together."""
        return min(self.recipe.batch_size, self.epoch_length)

    def order(self, epoch: int) -> list[int]:
        """What comes in an epoch, in an order drawn from the seed and the epoch.

        Numbers of photos; one that comes again has its number plus a multiple of their count.
        """
        random = np.random.default_rng([self.recipe.seed, epoch])
        order = random.permutation(len(self))
        if self.epoch_length > len(self):
            repeats = repeats_in_epoch(self._factors, random)
            again = [index + turn * len(self) for index in order for turn in range(repeats[index])]
            order = random.permutation(again)
        return [int(number) for number in order]

    def __getitem__(
        self, key: tuple[int, int, float]
    ) -> tuple[UInt8[Tensor, "3 height width"], UInt8[Tensor, "height width"]]:
        """The crop of a number of `order` in `epoch`: RGB 0..255, and ids with 255 ignored.

        The key's last part is how much shorter the sides of photo and crop are than planned.
        """
        epoch, index, scale = key
        image, label_map = self._changed(epoch, index)
        generator = torch.Generator()
        generator.manual_seed(_mix(self.recipe.seed, epoch, index))
        return augment(
            torch.from_numpy(image).permute(2, 0, 1),
            torch.from_numpy(label_map),
            shrunk(self.recipe, scale),
            generator,
        )

    def _changed(self, epoch: int, index: int) -> tuple[np.ndarray, np.ndarray]:
        """A photo and its label after the recipe's `copy_paste` and `augmentation`."""
        pair = self._read(index % len(self))
        if self.recipe.copy_paste:
            random = random_stream(self.recipe.seed, f"{epoch}/{index}/paste")
            pair = self._copy_paste(pair, random, self._read)
        if not self._augmentation.changes_pixels:
            return pair
        random = random_stream(self.recipe.seed, f"{epoch}/{index}")
        return change(
            *pair, self._augmentation, random, lambda rng: self._read(int(rng.integers(len(self))))
        )

    def _read(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """A photo and its label at the network's input size, from the cache where it fits."""
        pair = self._cache.get(index)
        if pair is None:
            image, label_map = self.samples[index].read()
            fitted, placement = fit_image(image, self.recipe.preprocess)
            pair = (fitted, fit_label_map(label_map, placement))
            self._cache.put(index, pair)
        return pair


def shrunk(recipe: TrainingRecipe, scale: float) -> TrainingRecipe:
    """The recipe with sides of crops `scale` times as long, which show as much of a photo."""
    if scale == 1.0:
        return recipe
    height, width = recipe.crop.height, recipe.crop.width
    return replace(
        recipe,
        crop=Size(max(1, round(height * scale)), max(1, round(width * scale))),
        scale_min=recipe.scale_min * scale,
        scale_max=recipe.scale_max * scale,
    )


def batches_of_epoch(
    samples: TrainingSamples,
    epoch: int,
    scale: float = 1.0,
    processes: Processes = ALONE,
    first: int = 0,
) -> Iterator[tuple[UInt8[Tensor, "batch 3 height width"], UInt8[Tensor, "batch height width"]]]:
    """All photos once, or those of rare classes more often, as `TrainingSamples.order` says.

    first: how many batches at the beginning are left out.

    A last batch that is not full is dropped, unless it is the only one. Of several processes each
    gets its part of every batch.
    """
    recipe = samples.recipe
    keys = [(epoch, index, scale) for index in samples.order(epoch)]
    size = min(recipe.batch_size, len(keys))
    starts = range(first * size, len(keys) - size + 1, size)
    loader = DataLoader(
        samples,
        batch_sampler=[list(processes.part_of(keys[start : start + size])) for start in starts],
        num_workers=recipe.workers,
        multiprocessing_context=FORK if recipe.workers else None,
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
