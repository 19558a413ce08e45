"""One picture in, one answer out: the steps that every inference route shares."""

import base64
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import UInt8

from atrous.domain.errors import BadImage
from atrous.images.decode import decode_image
from atrous.images.draw import draw_overlay, encode_jpeg
from atrous.runtime.core_budget import CoreBudget
from atrous.runtime.segmenter import Segmenter, Step
from atrous.server.image_input import SentImage
from atrous.server.inference.confidence import Named, threshold_of
from atrous.server.inference.responses import segmentation_body
from atrous.server.metrics import Stage
from atrous.server.services import Services
from atrous.server.settings import ServerSettings
from atrous.server.url_fetch import fetch_image
from atrous.server.work_queue import stop_if_unwanted

NO_IMAGE_AT_URL = "Data pointed by URL could not be decoded into image."  # clients look for it


@dataclass(frozen=True)
class Skipped:
    """Steps of preprocessing that a request leaves out."""

    auto_orient: bool = False  # turning the picture as its EXIF data says
    contrast: bool = False
    grayscale: bool = False
    static_crop: bool = False

    def or_by(self, settings: ServerSettings) -> "Skipped":
        """Leave out, besides, what is switched off for the whole server."""
        return Skipped(
            auto_orient=self.auto_orient or settings.disable_preproc_auto_orient,
            contrast=self.contrast or settings.disable_preproc_contrast,
            grayscale=self.grayscale or settings.disable_preproc_grayscale,
            static_crop=self.static_crop or settings.disable_preproc_static_crop,
        )

    @property
    def of_recipe(self) -> frozenset[Step]:
        """Those that are the model's."""
        steps: tuple[Step, ...] = ("contrast", "grayscale", "static_crop")
        return frozenset(step for step in steps if getattr(self, step))


@dataclass(frozen=True)
class Wishes:
    """What a request asks for, besides the picture and the model."""

    confidence: float | Named
    inference_id: str
    skipped: Skipped = Skipped()
    draw: bool = False  # an overlay
    draw_labels: bool = False  # with a legend
    stroke: int = 1  # width of the overlay's contours in pixels


@dataclass(frozen=True)
class Answer:
    """The JSON body, and the overlay (a JPEG) where one was wished for."""

    body: dict[str, Any]
    overlay: bytes | None


async def fetch_picture(services: Services, url: str, hold: Callable[[int], None]) -> SentImage:
    """Fetch a picture by URL; its bytes count as waiting, in the account that `hold` belongs to."""
    with services.metrics.timed("fetch"):
        return SentImage(await fetch_image(url, services.settings, hold), is_fetched=True)


def segment(services: Services, segmenter: Segmenter, sent: SentImage, wishes: Wishes) -> Answer:
    """Decode a picture file, predict, and encode. Heavy: it runs in a worker thread.

    Where nobody waits for the answer any more, it ends before the next of these steps.
    """
    start = time.perf_counter()
    package = segmenter.package
    skipped = wishes.skipped.or_by(services.settings)

    @contextmanager
    def stage(name: Stage) -> Iterator[None]:
        stop_if_unwanted()
        with services.metrics.timed(name):
            yield

    with ExitStack() as until_answered:
        with stage("decode"):
            image = until_answered.enter_context(_decoded(services, segmenter.cores, sent, skipped))
        prediction = segmenter.predict(
            image,
            confidence=threshold_of(package, wishes.confidence),
            without=skipped.of_recipe,
            timed=stage,
            before_look=stop_if_unwanted,
        )
        with stage("encode"):
            body = segmentation_body(
                prediction,
                package.class_map,
                inference_id=wishes.inference_id,
                seconds=time.perf_counter() - start,
            )
            if not wishes.draw:
                return Answer(body, None)
            drawn = draw_overlay(
                image,
                prediction.label_map,
                package.class_names,
                labels=wishes.draw_labels,
                stroke=wishes.stroke,
            )
            overlay = encode_jpeg(drawn)
    return Answer({**body, "visualization": base64.b64encode(overlay).decode()}, overlay)


@contextmanager
def _decoded(
    services: Services, cores: CoreBudget, sent: SentImage, skipped: Skipped
) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    """Decode a picture. Until the block ends its pixels count as in work, and it has a core."""
    limit = services.settings.max_image_pixels
    with ExitStack() as until_answered:
        try:
            file_bytes = sent.file_bytes()
            until_answered.enter_context(services.decoded_pixels.of_picture(file_bytes))
            # After the pixels: who has them may wait for cores, never the other way round.
            until_answered.enter_context(cores.take(1))
            image = decode_image(file_bytes, auto_orient=not skipped.auto_orient, max_pixels=limit)
        except BadImage as error:
            reason = f"{NO_IMAGE_AT_URL} {error}" if sent.is_fetched else str(error)
            raise BadImage(reason) from error
        yield image
