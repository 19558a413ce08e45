"""The box around the pixels of a mask."""

import numpy as np
from jaxtyping import Bool

from atrous.domain.geometry import Box


def box_around(mask: Bool[np.ndarray, "height width"]) -> Box:
    """Give the smallest box that holds every set pixel; at least one has to be set."""
    # by rows and columns: the places of all pixels would take 16 bytes for each
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return Box(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
