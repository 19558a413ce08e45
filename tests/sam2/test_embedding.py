import numpy as np

from atrous.domain.geometry import Size
from atrous.sam2.embedding import Embedding


def test_size_is_that_of_all_arrays() -> None:
    embedding = Embedding(
        Size(10, 20),
        np.zeros((1, 4096, 256), np.float16),
        (np.zeros((1, 4096, 4, 64), np.float16), np.zeros((1, 4096, 16, 32), np.float16)),
    )
    assert embedding.size_bytes == 2 * (2**20 + 2**21 + 2**20)
