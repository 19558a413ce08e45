"""Masks of earlier clicks, to refine: the logits that a client asked to be kept.

A click more on the same object goes on from the mask before it, as in SAM 2's own demo.
"""

import threading
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from atrous.domain.prompts import Point, Prompt, PromptBox
from atrous.server.metrics import Metrics

LowResLogits = Float32[np.ndarray, "256 256"]


@dataclass(frozen=True)
class _Said:
    """What a prompt says, whatever the order of its points."""

    points: frozenset[Point]
    box: PromptBox | None


class LogitsCache:
    """Logits by photo and prompt, a bounded number of them (262 KB each). Safe for threads."""

    def __init__(self, max_masks: int, metrics: Metrics) -> None:
        """Keep `max_masks`, the newest; 0 keeps none."""
        self._max_masks = max_masks
        self._metrics = metrics
        self._lock = threading.Lock()
        self._logits: OrderedDict[tuple[str, _Said], LowResLogits] = OrderedDict()  # oldest first
        self._of_photo: dict[str, OrderedDict[_Said, None]] = {}  # oldest first

    def save(self, photo: str, prompt: Prompt, logits: LowResLogits) -> None:
        """Keep the mask that was the answer to a prompt about a photo.

        The answer to a prompt that says nothing is not kept: it is nobody's object.
        """
        said = _said(prompt)
        if not said.points and said.box is None:
            return
        with self._lock:
            self._drop(photo, said)
            self._logits[photo, said] = logits.copy()  # not all the masks it was chosen from
            self._of_photo.setdefault(photo, OrderedDict())[said] = None
            while len(self._logits) > self._max_masks:
                self._drop(*next(iter(self._logits)))
            self._metrics.sam2_logits_entries.set(len(self._logits))

    def load(self, photo: str, prompt: Prompt) -> LowResLogits | None:
        """Give the mask of an earlier prompt that said less: the same box and some of the points.

        That with the most points; the newest of these.
        """
        said = _said(prompt)
        with self._lock:
            less = [
                earlier
                for earlier in reversed(self._of_photo.get(photo, ()))
                if earlier.box == said.box and earlier.points < said.points
            ]
            self._metrics.sam2_logits.labels("hit" if less else "miss").inc()
            if not less:
                return None
            best = max(less, key=lambda earlier: len(earlier.points))  # the first of equals
            return self._logits[photo, best]

    def clear(self) -> None:
        """Forget all masks."""
        with self._lock:
            self._logits.clear()
            self._of_photo.clear()
            self._metrics.sam2_logits_entries.set(0)

    def _drop(self, photo: str, said: _Said) -> None:
        if self._logits.pop((photo, said), None) is not None:
            of_photo = self._of_photo[photo]
            del of_photo[said]
            if not of_photo:
                del self._of_photo[photo]


def _said(prompt: Prompt) -> _Said:
    return _Said(frozenset(prompt.points), prompt.box)
