"""Black rectangles over a photo, so that a network learns from what surrounds them."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

from atrous.domain.classes import IGNORE_ID


@dataclass(frozen=True)
class Cutout:
    """Rectangles anywhere, that may overlap."""

    count: int
    percent: float  # 0..100, of the photo's height and width

    def __call__(
        self,
        image: UInt8[np.ndarray, "height width 3"],
        label_map: UInt8[np.ndarray, "height width"],
        rng: np.random.Generator,
    ) -> tuple[UInt8[np.ndarray, "height width 3"], UInt8[np.ndarray, "height width"]]:
        """Cover parts of the photo; what can't be seen any more is ignored (255)."""
        image, label_map = image.copy(), label_map.copy()
        height, width = label_map.shape
        tall, wide = round(height * self.percent / 100), round(width * self.percent / 100)
        for _ in range(self.count):
            top = int(rng.integers(0, height - tall + 1))
            left = int(rng.integers(0, width - wide + 1))
            image[top : top + tall, left : left + wide] = 0
            label_map[top : top + tall, left : left + wide] = IGNORE_ID
        return image, label_map
