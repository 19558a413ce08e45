"""One picture in, one answer out: the steps that every inference route shares."""

import base64
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from atrous.images.decode import decode_image
from atrous.images.draw import draw_overlay, encode_jpeg
from atrous.runtime.segmenter import Segmenter, Step
from atrous.server.image_input import SentImage
from atrous.server.inference.confidence import Named
from atrous.server.inference.responses import segmentation_body
from atrous.server.metrics import Stage
from atrous.server.services import Services
from atrous.server.work_queue import stop_if_unwanted


@dataclass(frozen=True)
class Skipped:
    """Steps of preprocessing that a request leaves out."""

    auto_orient: bool = False  # turning the picture as its EXIF data says
    contrast: bool = False
    grayscale: bool = False
    static_crop: bool = False

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


def segment(services: Services, segmenter: Segmenter, sent: SentImage, wishes: Wishes) -> Answer:
    """Decode a picture file, predict, and encode. Heavy: it runs in a worker thread.

    Where nobody waits for the answer any more, it ends before the next of these steps.
    """
    start = time.perf_counter()
    package = segmenter.package

    @contextmanager
    def stage(name: Stage) -> Iterator[None]:
        stop_if_unwanted()
        with services.metrics.timed(name):
            yield

    with stage("decode"):
        image = decode_image(
            sent.file_bytes(),
            auto_orient=not wishes.skipped.auto_orient,
            max_pixels=services.settings.max_image_pixels,
        )
    threshold = wishes.confidence
    if isinstance(threshold, str):
        threshold = package.default_confidence
    prediction = segmenter.predict(
        image, confidence=threshold, without=wishes.skipped.of_recipe, timed=stage
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
