"""What the encoder makes of a photo: all that later prompts need of it."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from atrous.domain.geometry import Size


@dataclass(frozen=True, eq=False)
class Embedding:
    """Features of one photo, in half precision (8.4 MB) unless exactness is asked for (16.8 MB).

    image_embeddings: (1, 256, 64, 64), what prompts attend to.
    high_res_features: (1, 32, 256, 256) and (1, 64, 128, 128), for the mask's edges.
    """

    photo_size: Size
    image_embeddings: Float[np.ndarray, "1 channels rows columns"]
    high_res_features: tuple[
        Float[np.ndarray, "1 channels_4 rows_4 columns_4"],
        Float[np.ndarray, "1 channels_2 rows_2 columns_2"],
    ]

    @property
    def size_bytes(self) -> int:
        """Memory of the arrays."""
        return self.image_embeddings.nbytes + sum(part.nbytes for part in self.high_res_features)
