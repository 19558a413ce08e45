"""Does the exported network say what the trained one says? Measured on photos, and insisted on."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import UInt8
from torch import nn

from atrous.domain.errors import ExportRefused
from atrous.domain.recipes import PreprocessRecipe
from atrous.images.preprocess import preprocess
from atrous.runtime.session import open_session


@runtime_checkable
class Photo(Protocol):
    """Anything that gives a photo, as a sample of a data set does."""

    def read_image(self) -> UInt8[np.ndarray, "height width 3"]:
        """RGB, 0..255."""
        ...


PHOTOS = 8  # compared, spread over the split
LEAST_AGREEMENT = 0.999  # share of pixels whose class is the same
MOST_DIFFERENCE = 1e-2  # of logits, as a share of the largest one


@dataclass(frozen=True)
class ParityReport:
    """Torch in fp32 against the exported graph in fp32, over the same photos."""

    photos: int
    max_difference: float  # of logits
    relative_difference: float  # max_difference over the largest absolute logit
    pixel_agreement: float  # share of pixels with the same class, 0..1

    def as_json(self) -> dict[str, Any]:
        """The figures as the manifest keeps them."""
        return asdict(self)


def measure_parity(
    network: nn.Module, weights: Path, recipe: PreprocessRecipe, samples: Sequence[Photo]
) -> ParityReport:
    """Run both on up to PHOTOS photos; no image is read twice."""
    chosen = [samples[int(index)] for index in _spread(len(samples), PHOTOS)]
    session = open_session(weights, engine="onnxruntime", precision="fp32")
    network = network.cpu().float().eval()
    difference, largest, same, pixels = 0.0, 0.0, 0, 0
    try:
        for sample in chosen:
            batch, _ = preprocess(sample.read_image(), recipe)
            with torch.no_grad():
                expected = network(torch.from_numpy(batch)).numpy()
            given = session.run(batch)
            # Not the built-in max, which would drop a nan.
            difference = float(np.maximum(difference, np.abs(expected - given).max()))
            largest = max(largest, float(np.abs(expected).max()))
            same += int((expected.argmax(1) == given.argmax(1)).sum())
            pixels += expected[0, 0].size
    finally:
        session.close()
    return ParityReport(
        photos=len(chosen),
        max_difference=difference,
        relative_difference=difference / largest if largest else difference,
        pixel_agreement=same / pixels,
    )


def insist(report: ParityReport) -> None:
    """Raise ExportRefused unless the two networks agree."""
    # A comparison with nan is false: written so that nan is refused, too.
    agrees = (
        report.pixel_agreement >= LEAST_AGREEMENT and report.relative_difference <= MOST_DIFFERENCE
    )
    if not agrees:
        raise ExportRefused(
            f"the exported network differs from the trained one: {report.pixel_agreement:.4%} of "
            f"pixels agree (at least {LEAST_AGREEMENT:.1%} are needed), logits differ by up to "
            f"{report.max_difference:.3g}; nothing was published. Export again with another "
            "version of torch or onnxruntime"
        )


def _spread(count: int, wanted: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.unique(np.linspace(0, count - 1, min(count, wanted)).astype(np.int64))
