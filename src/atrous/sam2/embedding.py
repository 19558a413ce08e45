"""What the encoder makes of a photo: all that later prompts need of it."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from atrous.domain.geometry import Size

EMBEDDING_PARTS = 3  # arrays: the encoder's outputs, and first inputs of what answers prompts


@dataclass(frozen=True, eq=False)
class Embedding:
    """Features of one photo, in half precision (8.4 MB) unless exactness is asked for (16.8 MB).

    They lie in the order in which the decoder reads them, position by position of a 64x64 grid.

    image_embeddings: (1, 4096, 256), what prompts attend to.
    high_res_features: (1, 4096, 4, 64) and (1, 4096, 16, 32), of the 4 and 16 cells of each
        position, for the mask's edges.
    """

    photo_size: Size
    image_embeddings: Float[np.ndarray, "1 ..."]
    high_res_features: tuple[
        Float[np.ndarray, "1 ..."],
        Float[np.ndarray, "1 ..."],
    ]

    @property
    def size_bytes(self) -> int:
        """Memory of the arrays."""
        return self.image_embeddings.nbytes + sum(part.nbytes for part in self.high_res_features)
