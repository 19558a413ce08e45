"""What a person points at in a photo: clicks, a box, an earlier mask; pixels of the photo."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32


@dataclass(frozen=True)
class Point:
    """A click; (0, 0) is the photo's top left corner."""

    x: float
    y: float
    positive: bool  # on the object, or on what does not belong to it


@dataclass(frozen=True)
class PromptBox:
    """A rectangle around an object, by its edges.

    >>> PromptBox(left=10.0, top=20.0, right=30.0, bottom=60.0).width
    20.0
    """

    left: float
    top: float
    right: float
    bottom: float

    @property
    def width(self) -> float:
        """From the left edge to the right one."""
        return self.right - self.left

    @property
    def height(self) -> float:
        """From the top edge to the bottom one."""
        return self.bottom - self.top


@dataclass(frozen=True, eq=False)
class Prompt:
    """All that is said about one object; without anything, the most prominent one is meant.

    mask_input: low-resolution logits of an earlier answer about the same photo, to refine.
    """

    points: tuple[Point, ...] = ()
    box: PromptBox | None = None
    mask_input: Float32[np.ndarray, "256 256"] | None = None
