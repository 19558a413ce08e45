"""How often a photo is looked at: once, or in windows, at several scales and mirrored."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from atrous.domain.errors import BadInput

MAX_SCALES = 10


@dataclass(frozen=True)
class Views:
    """The predictions that an answer is blended from. More of them are slower and better."""

    # Longer side of the windows, in pixels of the photo, that a larger photo is cut into; each is
    # prepared as a photo of its own. None: the photo is seen whole (with center-crop, which
    # sees a part alone: windows of the network's input size).
    window: int | None = None
    overlap: float = 0.25  # of neighbouring windows, as a share of their side
    scales: tuple[float, ...] = (1.0,)  # 2: windows of half the side, so all looks twice as large
    flip: bool = False  # besides, everything mirrored

    def __post_init__(self) -> None:
        if self.window is not None and self.window < 32:
            raise BadInput(f"a window of {self.window} pixels; give at least 32")
        if not 0 <= self.overlap <= 0.75:
            raise BadInput(f"an overlap of {self.overlap}; give 0 to 0.75 of a window")
        usable = all(math.isfinite(scale) and 0.25 <= scale <= 4 for scale in self.scales)
        if not usable or not 1 <= len(self.scales) <= MAX_SCALES:
            raise BadInput(
                f"scales {', '.join(map(str, self.scales))}; give 1 to {MAX_SCALES} numbers "
                "from 0.25 to 4"
            )

    @property
    def is_plain(self) -> bool:
        """Whether the photo is looked at once, as it is."""
        return self.window is None and self.scales == (1.0,) and not self.flip

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return {**asdict(self), "scales": list(self.scales)}

    @classmethod
    def from_json(cls, values: Any) -> "Views":
        """Read what `to_json` wrote, fields left out being as by default; raises BadInput."""
        try:
            fields = dict(values)
            if "scales" in fields:
                fields["scales"] = tuple(float(scale) for scale in fields["scales"])
            if "overlap" in fields:
                fields["overlap"] = float(fields["overlap"])
            if fields.get("window") is not None:
                fields["window"] = int(fields["window"])
            return cls(**{**fields, "flip": bool(fields.get("flip", False))})
        except (TypeError, ValueError) as error:
            raise BadInput(
                f"{str(values)[:100]!r} are no views ({error}); give window, overlap, scales, flip"
            ) from error
