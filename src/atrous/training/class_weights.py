"""How much a pixel of each class counts in the loss, so that rare classes are learnt too."""

from collections.abc import Sequence

import numpy as np

from atrous.domain.errors import BadInput

BALANCING = ("auto", "none", "balanced", "enet", "median")
RARE_SHARE = 0.02  # of the labelled pixels; with a class below it, "auto" balances


def class_weights(
    pixels: Sequence[int], balancing: str, pixels_beside: Sequence[int] = ()
) -> tuple[float, ...] | None:
    """Weight of every class id, 1 on average over the labelled pixels; None where all are equal.

    pixels: labelled pixels of each class id in the training split. A class without any gets 1.
    pixels_beside: those of all classes in the photos that show the class; all photos' where not
        given.
    balancing: "enet" is 1 / ln(1.02 + share) (Paszke et al., 1606.02147, section 5.2), "median"
        is median frequency / frequency, a class's frequency being its share of the pixels of the
        photos that show it (Eigen and Fergus, 1411.4734), "balanced" the square
        root of "enet": published weights were tuned for the mean recall of classes, and cost a
        rare class more precision than its IoU gains. "auto" is "balanced" where there are three
        classes or more and one has less than 2 % of the labelled pixels, else "none".

    >>> class_weights((0, 750, 250), "median")
    (1.0, 0.6666666666666666, 2.0)
    """
    if balancing not in BALANCING:
        raise BadInput(f"class weights are {balancing!r}; give one of {', '.join(BALANCING)}")
    counts = np.asarray(pixels, np.float64)
    seen = counts > 0
    shares = counts[seen] / max(counts.sum(), 1.0)
    if balancing == "auto":
        skewed = len(shares) > 2 and shares.min() < RARE_SHARE
        balancing = "balanced" if skewed else "none"
    if balancing == "none" or not seen.any():
        return None
    weights = np.ones(len(counts))
    if balancing == "median":
        beside = np.asarray(pixels_beside, np.float64) if pixels_beside else counts.sum()
        frequencies = (counts / np.maximum(beside, 1.0))[seen]
        raw = np.median(frequencies) / frequencies
    else:
        enet = 1.0 / np.log(1.02 + shares)
        raw = enet if balancing == "enet" else np.sqrt(enet)
    weights[seen] = raw / (raw * shares).sum()
    return tuple(float(weight) for weight in weights)
