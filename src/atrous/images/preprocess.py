"""A photo -> the network's input, and where the photo lies in it.

The only copy: training, export and serving all call it with the recipe that travels in the
package. The steps and their rounding are those of packages made by others, so that both sides
see the same pixels.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from atrous.domain.classes import IGNORE_ID
from atrous.domain.errors import BadImage
from atrous.domain.geometry import Box, Size
from atrous.domain.recipes import PreprocessRecipe, StaticCrop
from atrous.images.contrast import adjust_contrast


@dataclass(frozen=True)
class Placement:
    """Where a photo lies in the network's input, so that an answer finds its way back."""

    photo: Size
    crop: Box  # in pixels of the photo: the static crop, or all of it
    network: Size
    # In pixels of the network: where the whole crop lies. It may exceed the network with
    # center-crop alone, whose scale is 1; what exceeds is not seen.
    content: Box

    @property
    def seen(self) -> Box:
        """The part of `content` inside the network's input, in pixels of the network."""
        return Box(
            left=max(self.content.left, 0),
            top=max(self.content.top, 0),
            right=min(self.content.right, self.network.width),
            bottom=min(self.content.bottom, self.network.height),
        )

    @property
    def seen_in_crop(self) -> Box:
        """The part of the crop that the network sees, in pixels of the crop."""
        seen, content, crop = self.seen, self.content, self.crop.size
        if seen == content:
            return Box(0, 0, crop.width, crop.height)
        return Box(
            left=seen.left - content.left,
            top=seen.top - content.top,
            right=seen.right - content.left,
            bottom=seen.bottom - content.top,
        )


def place(photo: Size, recipe: PreprocessRecipe) -> Placement:
    """Work out crop, scale and padding of a photo of this size; BadImage if nothing is left."""
    crop = _crop_box(photo, recipe.static_crop)
    if recipe.resize_mode == "stretch":
        content = Box(0, 0, recipe.size.width, recipe.size.height)
    elif recipe.resize_mode == "center-crop":
        content = _centered(crop.size, recipe.size)
    else:
        content = _letterboxed(crop.size, recipe.size)
    return Placement(photo, crop, recipe.size, content)


def fit_image(
    image: UInt8[np.ndarray, "height width 3"], recipe: PreprocessRecipe
) -> tuple[UInt8[np.ndarray, "network_height network_width 3"], Placement]:
    """Crop, grey, contrast, resize and pad an RGB photo to `recipe.size`; still RGB, 0..255."""
    placement = place(Size(*image.shape[:2]), recipe)
    box = placement.crop
    image = image[box.top : box.bottom, box.left : box.right]
    if recipe.grayscale:
        grey = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)
        image = np.repeat(np.asarray(grey, np.uint8)[..., None], 3, axis=2)
    if recipe.contrast:
        image = adjust_contrast(np.ascontiguousarray(image), recipe.contrast)
    return _arrange(image, placement, _padding(recipe), cv2.INTER_LINEAR), placement


def fit_label_map(
    label_map: UInt8[np.ndarray, "height width"], placement: Placement
) -> UInt8[np.ndarray, "network_height network_width"]:
    """Lay a photo's label map where `placement` laid the photo; padding is IGNORE_ID."""
    box = placement.crop
    label_map = label_map[box.top : box.bottom, box.left : box.right]
    # INTER_NEAREST takes a pixel's corner for its centre, half a pixel beside the photo's.
    return _arrange(label_map, placement, IGNORE_ID, cv2.INTER_NEAREST_EXACT)


def normalize(
    fitted: UInt8[np.ndarray, "height width 3"], recipe: PreprocessRecipe
) -> Float32[np.ndarray, "3 height width"]:
    """Network channel order, `(x / scaling_factor - mean) / std`, channels first."""
    channels = (0, 1, 2) if recipe.color_mode == "rgb" else (2, 1, 0)
    planes = np.empty((3, *fitted.shape[:2]), np.float32)
    stored = cv2.split(fitted)  # pixels of one channel side by side are multiplied faster
    for plane, channel, mean, std in zip(planes, channels, recipe.mean, recipe.std, strict=True):
        np.multiply(stored[channel], np.float32(1 / (recipe.scaling_factor * std)), out=plane)
        plane -= np.float32(mean / std)
    return planes


def preprocess(
    image: UInt8[np.ndarray, "height width 3"], recipe: PreprocessRecipe
) -> tuple[Float32[np.ndarray, "1 3 network_height network_width"], Placement]:
    """An RGB photo (0..255) as a batch of one for the network, and where it lies in it."""
    fitted, placement = fit_image(image, recipe)
    return normalize(fitted, recipe)[None], placement


def _crop_box(photo: Size, crop: StaticCrop | None) -> Box:
    if crop is None:
        return Box(0, 0, photo.width, photo.height)
    box = Box(
        left=max(int(crop.x_min / 100 * photo.width), 0),
        top=max(int(crop.y_min / 100 * photo.height), 0),
        right=min(int(crop.x_max / 100 * photo.width), photo.width),
        bottom=min(int(crop.y_max / 100 * photo.height), photo.height),
    )
    if box.size.height < 1 or box.size.width < 1:
        raise BadImage(
            f"the model's static crop leaves nothing of a picture of {photo}; send a larger one"
        )
    return box


def _letterboxed(crop: Size, network: Size) -> Box:
    scale = min(network.width / crop.width, network.height / crop.height)
    # An extremely long photo keeps one row or column.
    width, height = max(int(crop.width * scale), 1), max(int(crop.height * scale), 1)
    left, top = int((network.width - width) / 2), int((network.height - height) / 2)
    return Box(left, top, left + width, top + height)


def _centered(crop: Size, network: Size) -> Box:
    # An odd remainder goes right and below, whether it is padded or cut.
    left = _half_toward_zero(network.width - crop.width)
    top = _half_toward_zero(network.height - crop.height)
    return Box(left, top, left + crop.width, top + crop.height)


def _half_toward_zero(difference: int) -> int:
    return difference // 2 if difference >= 0 else -(-difference // 2)


def _padding(recipe: PreprocessRecipe) -> int:
    """`fit-longer-edge` and `center-crop` pad with black whatever the recipe says, as peers do."""
    black = recipe.resize_mode in ("fit-longer-edge", "center-crop")
    return 0 if black else recipe.padding_value


def _arrange(
    pixels: UInt8[np.ndarray, "height width *channels"],
    placement: Placement,
    padding: int,
    interpolation: int,
) -> UInt8[np.ndarray, "network_height network_width *channels"]:
    """Resize the seen part of a crop to its place and fill the rest."""
    part, seen, network = placement.seen_in_crop, placement.seen, placement.network
    pixels = pixels[part.top : part.bottom, part.left : part.right]
    size = seen.size
    if pixels.shape[:2] != (size.height, size.width):
        pixels = np.asarray(
            cv2.resize(
                np.ascontiguousarray(pixels), (size.width, size.height), interpolation=interpolation
            ),
            np.uint8,
        )
    if size == network:
        return np.ascontiguousarray(pixels)
    canvas = np.full((network.height, network.width, *pixels.shape[2:]), padding, np.uint8)
    canvas[seen.top : seen.bottom, seen.left : seen.right] = pixels
    return canvas
