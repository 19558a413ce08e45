"""What a model says about one photo."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, UInt8

# Probabilities (0..1) below which a pixel becomes background: one for all, or each class id's own.
Thresholds = float | tuple[float, ...]


@dataclass(frozen=True)
class Prediction:
    """The answer for one photo, at the photo's own size (EXIF orientation applied).

    label_map: class id per pixel.
    confidence: probability (0..1) of that class per pixel; 0 where it fell below the threshold.
    """

    label_map: UInt8[np.ndarray, "height width"]
    confidence: Float32[np.ndarray, "height width"]

    @property
    def present_class_ids(self) -> list[int]:
        """The ids that occur in the label map, ascending, background included."""
        ids = self.label_map.ravel()
        ends_of_runs = np.flatnonzero(ids[1:] != ids[:-1])  # far fewer than pixels
        present = np.unique(np.append(ids[ends_of_runs], ids[-1:]))
        return [int(class_id) for class_id in present]
