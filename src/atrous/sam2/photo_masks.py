"""From the decoder's 256x256 logits back to the photo's own size."""

import cv2
import numpy as np
from jaxtyping import Bool, Float32

from atrous.domain.geometry import Size


def restore_logits(
    low_res_logits: Float32[np.ndarray, "256 256"], photo_size: Size
) -> Float32[np.ndarray, "height width"]:
    """Up-sample logits bilinearly, with pixel centres aligned, to the size of the photo."""
    # OpenCV's rounding flips the sign of fewer than 5 in a million pixels against torch's.
    size = (photo_size.width, photo_size.height)
    return np.asarray(cv2.resize(low_res_logits, size, interpolation=cv2.INTER_LINEAR), np.float32)


def restore_mask(
    low_res_logits: Float32[np.ndarray, "256 256"], photo_size: Size
) -> Bool[np.ndarray, "height width"]:
    """The pixels of the photo that belong to the object: those whose logit is not negative."""
    return restore_logits(low_res_logits, photo_size) >= 0.0
