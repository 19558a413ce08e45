"""What the server has answered 200 for: all of it must outlive every crash."""

import threading
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import UInt8

GAVE_UP = "the worker stopped in the middle"


@dataclass(frozen=True)
class SearchExport:
    """A zip of what a search found."""

    link: str
    images: int


@dataclass(frozen=True)
class Upload:
    """An acknowledged photo, and its label once that is acknowledged, too."""

    project: str
    image_id: str
    file: bytes
    label: UInt8[np.ndarray, "height width"] | None = None


@dataclass
class Ledger:
    """Grows by acknowledgements alone; several threads write."""

    uploads: dict[str, Upload] = field(default_factory=dict)
    versions: dict[tuple[str, int], int] = field(default_factory=dict)  # images when it was ready
    exports: dict[tuple[str, int], str] = field(default_factory=dict)  # link, as last given
    zips: int = 0  # that were imported; their photos are among the uploads
    searches: dict[str, SearchExport] = field(default_factory=dict)  # by id
    models: set[str] = field(default_factory=set)  # of trainings that were reported as finished
    requested: set[tuple[str, int]] = field(default_factory=set)  # versions that were promised
    given_up: list[str] = field(default_factory=list)  # jobs whose workers died three times
    problems: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def problem(self, text: str) -> None:
        """Note something that must not be."""
        with self.lock:
            self.problems.append(text)

    def failure(self, what: str, why: str) -> None:
        """Note a job that failed, as it should where its workers died too often."""
        if GAVE_UP in why:  # by design: it would otherwise go round for ever
            with self.lock:
                self.given_up.append(what)
        else:
            self.problem(f"{what}: {why[:300]}")

    def counts(self) -> dict[str, int]:
        """How much there is of each."""
        with self.lock:
            return {
                "images": len(self.uploads),
                "labels": sum(upload.label is not None for upload in self.uploads.values()),
                "versions requested": len(self.requested),
                "versions ready": len(self.versions),
                "exports": len(self.exports),
                "zips": self.zips,
                "search exports": len(self.searches),
                "models": len(self.models),
                "jobs given up": len(self.given_up),
            }
