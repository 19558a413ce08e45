"""What `confidence` means, which is not the same on every route."""

import math
from typing import Literal

from atrous.domain.errors import BadRequest
from atrous.domain.predictions import Thresholds
from atrous.packages.directory import ModelPackage

Named = Literal["best", "default"]
# Both for a request that says nothing. The documents of the hosted route say 50; the servers that
# answer it take 40, and so does the JSON route. One program must get one mask whichever of the
# two routes its client library happens to take, so it is 0.4 on both.
OMITTED = 0.4
LOWEST = 0.01  # of the hosted route, unless a setting says otherwise


def of_hosted_route(text: str | None, lowest: float = LOWEST) -> float | Named:
    """Read the query parameter: 0..1, or 1..100 in percent (so 1 is one percent), or a name.

    >>> of_hosted_route("40"), of_hosted_route("0.4"), of_hosted_route("1")
    (0.4, 0.4, 0.01)
    """
    if text is None or not text.strip():
        return OMITTED
    if text in ("best", "default"):
        return "best" if text == "best" else "default"
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise BadRequest(
            f"confidence={text[:40]!r} is not understood; take 0 to 100, 'best' or 'default'"
        )
    return max(lowest, value / 100 if value >= 1 else value)


def threshold_of(package: ModelPackage, wanted: float | Named) -> Thresholds:
    """Give what a request for this model means: one threshold (0..1), or each class's own.

    Only "best" may mean one per class: those that maximise F1 on the validation photos.
    """
    if wanted == "best":
        return package.best_thresholds
    return package.default_confidence if isinstance(wanted, str) else wanted
