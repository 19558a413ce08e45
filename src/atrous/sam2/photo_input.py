"""A photo of any size as the encoder sees it: squashed to 1024x1024 and normalised.

The official predictor squashes with torch's antialiased bilinear filter on floats. Pillow's filter
is the same one (torch's was made after it), and on floating-point pictures it agrees with torch to
the last bits. On 8-bit pictures Pillow rounds to whole grey levels, which shows in the logits.
"""

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image

SIDE = 1024  # pixels of the network's square input
# ImageNet's, of values in 0..1
MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)
LEVELS = 255.0


def prepare_photo(
    image: UInt8[np.ndarray, "height width 3"],
) -> Float32[np.ndarray, "1 3 1024 1024"]:
    """Squash an RGB photo (0..255) to a square, whatever its shape, and normalise it."""
    prepared = np.empty((1, 3, SIDE, SIDE), np.float32)
    for channel in range(3):
        levels = image[:, :, channel].astype(np.float32) / LEVELS
        squashed = Image.fromarray(levels).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
        prepared[0, channel] = (np.asarray(squashed) - MEAN[channel]) / DEVIATION[channel]
    return prepared
