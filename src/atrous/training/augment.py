"""Random scale, crop, flip and colour of a photo and its label map together, by one seed."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import UInt8
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as F

from atrous.domain.classes import IGNORE_ID
from atrous.domain.recipes import TrainingRecipe


@dataclass(frozen=True)
class Draw:
    """What chance decided for one sample."""

    top: int  # of the source region, in pixels of the photo
    left: int
    region: tuple[int, int]  # height and width of the source region
    scaled: tuple[int, int]  # height and width that the region is resized to
    pad_top: int  # where the region lies in the crop
    pad_left: int
    flip: bool
    brightness: float
    contrast: float
    saturation: float


def augment(
    image: UInt8[Tensor, "3 height width"],
    label_map: UInt8[Tensor, "height width"],
    recipe: TrainingRecipe,
    generator: torch.Generator,
) -> tuple[UInt8[Tensor, "3 crop_height crop_width"], UInt8[Tensor, "crop_height crop_width"]]:
    """Cut a randomly scaled, flipped and coloured crop of `recipe.crop`.

    RGB 0..255. Where the scaled photo does not fill the crop, the photo is grey and the label
    is ignored. The same state of `generator` gives the same crop.
    """
    draw = draw_augmentation((image.shape[1], image.shape[2]), recipe, generator)
    photo = _cut(tv_tensors.Image(image), draw)
    labels = _cut(tv_tensors.Mask(label_map), draw)
    if recipe.color_jitter:
        photo = F.adjust_brightness(photo, draw.brightness)
        photo = F.adjust_contrast(photo, draw.contrast)
        photo = F.adjust_saturation(photo, draw.saturation)
    height, width = recipe.crop.height, recipe.crop.width
    crop = torch.full((3, height, width), 128, dtype=torch.uint8)
    ids = torch.full((height, width), IGNORE_ID, dtype=torch.uint8)
    rows = slice(draw.pad_top, draw.pad_top + draw.scaled[0])
    columns = slice(draw.pad_left, draw.pad_left + draw.scaled[1])
    crop[:, rows, columns] = photo
    ids[rows, columns] = labels
    return crop, ids


def draw_augmentation(
    photo: tuple[int, int], recipe: TrainingRecipe, generator: torch.Generator
) -> Draw:
    """Let chance decide for a photo of this height and width."""

    def uniform(low: float, high: float) -> float:
        return low + (high - low) * float(torch.rand((), generator=generator))

    scale = math.exp(uniform(math.log(recipe.scale_min), math.log(recipe.scale_max)))
    region, scaled, starts, pads = [], [], [], []
    for length, crop in zip(photo, (recipe.crop.height, recipe.crop.width), strict=True):
        # The part of the photo that the crop shows at this scale, or all of it.
        part = min(length, max(1, round(crop / scale)))
        shown = crop if part < length else min(crop, max(1, round(length * scale)))
        region.append(part)
        scaled.append(shown)
        starts.append(int(uniform(0.0, length - part + 1 - 1e-6)))
        pads.append(int(uniform(0.0, crop - shown + 1 - 1e-6)))
    jitter = recipe.color_jitter
    return Draw(
        top=starts[0],
        left=starts[1],
        region=(region[0], region[1]),
        scaled=(scaled[0], scaled[1]),
        pad_top=pads[0],
        pad_left=pads[1],
        flip=uniform(0.0, 1.0) < recipe.flip,
        brightness=uniform(1 - jitter, 1 + jitter),
        contrast=uniform(1 - jitter, 1 + jitter),
        saturation=uniform(1 - jitter, 1 + jitter),
    )


def _cut(pixels: Tensor, draw: Draw) -> Tensor:
    """One region, resized (bilinear for an Image, nearest for a Mask) and flipped."""
    region: Tensor = F.crop(pixels, draw.top, draw.left, *draw.region)
    if draw.scaled != draw.region:
        # NEAREST takes a pixel's corner for its centre: labels half a pixel beside the photo.
        label = isinstance(region, tv_tensors.Mask)
        mode = F.InterpolationMode.NEAREST_EXACT if label else F.InterpolationMode.BILINEAR
        region = F.resize(region, list(draw.scaled), interpolation=mode, antialias=True)
    if draw.flip:
        region = F.horizontal_flip(region)
    return region
