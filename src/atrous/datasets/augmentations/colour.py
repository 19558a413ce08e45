"""Grey, hue, saturation, brightness and exposure of a photo; its label map stays as it is."""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float64, UInt8

Photo = UInt8[np.ndarray, "height width 3"]
LEVELS = np.arange(256, dtype=np.float64)
HUES = 256  # steps of the whole circle, as OpenCV's HSV_FULL counts them


@dataclass(frozen=True)
class RandomGrayscale:
    """Grey in three channels, for some of the photos."""

    percent: float  # 0..100, of the photos

    def __call__(self, image: Photo, rng: np.random.Generator) -> Photo:
        """Make it grey, or leave it."""
        if rng.random() >= self.percent / 100:
            return image
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        return np.repeat(np.asarray(grey, np.uint8)[..., None], 3, axis=2)


@dataclass(frozen=True)
class Hue:
    """Turn all colours around the colour circle, either way."""

    degrees: float  # 0..180, at most

    def __call__(self, image: Photo, rng: np.random.Generator) -> Photo:
        """Shift the hue."""
        shift = round(rng.uniform(-self.degrees, self.degrees) / 360 * HUES)
        if shift == 0:
            return image
        hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV_FULL)
        hsv[..., 0] += np.uint8(shift % HUES)  # wraps around
        return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB_FULL), np.uint8)


@dataclass(frozen=True)
class Saturation:
    """Make colours paler or stronger."""

    percent: float  # 0..99, at most, of the saturation

    def __call__(self, image: Photo, rng: np.random.Generator) -> Photo:
        """Scale the saturation."""
        factor = 1 + rng.uniform(-self.percent, self.percent) / 100
        hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV_FULL)
        hsv[..., 1] = cv2.LUT(hsv[..., 1], _table(LEVELS * factor))
        return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB_FULL), np.uint8)


@dataclass(frozen=True)
class Brightness:
    """Scale all grey levels alike."""

    percent: float  # 0..99, at most
    brighten: bool = True
    darken: bool = True

    def __call__(self, image: Photo, rng: np.random.Generator) -> Photo:
        """Brighten or darken."""
        low = -self.percent if self.darken else 0.0
        high = self.percent if self.brighten else 0.0
        factor = 1 + rng.uniform(low, high) / 100
        return np.asarray(cv2.LUT(image, _table(LEVELS * factor)), np.uint8)


@dataclass(frozen=True)
class Exposure:
    """Lift or press the middle grey levels; black and white stay."""

    percent: float  # 0..99, at most

    def __call__(self, image: Photo, rng: np.random.Generator) -> Photo:
        """Raise grey levels (0..1) to a power, as likely above 1 as below."""
        most = np.log1p(self.percent / 100)
        power = float(np.exp(rng.uniform(-most, most)))
        return np.asarray(cv2.LUT(image, _table((LEVELS / 255) ** power * 255)), np.uint8)


def _table(levels: Float64[np.ndarray, "256"]) -> UInt8[np.ndarray, "256"]:
    return np.asarray(np.rint(levels).clip(0, 255), np.uint8)
