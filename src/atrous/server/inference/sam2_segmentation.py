"""Prompts about an embedded photo in, masks out: the steps of one answer, in a worker thread."""

from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from contextvars import copy_context
from dataclasses import replace
from typing import Any, TypeAlias

from atrous.domain.prompts import Prompt
from atrous.sam2.prompt_arrays import batch_prompts
from atrous.sam2.segmenter import InteractiveSegmenter, Sam2Masks
from atrous.server.inference.sam2_answers import (
    MaskStyle,
    MaskWriter,
    masks_as_arrays,
    refuse_too_much,
)
from atrous.server.inference.sam2_photos import EmbeddedPhoto
from atrous.server.inference.sam2_prompts import read_prompts
from atrous.server.inference.sam2_requests import SegmentRequest
from atrous.server.services import Services
from atrous.server.work_queue import stop_if_unwanted

PARTS_AHEAD = 2  # that the network works on while one is written: no core waits between them

# Places of prompts in a request, and their answers
Part: TypeAlias = tuple[Sequence[int], Sequence[Sam2Masks]]


def segment_prompts(
    services: Services,
    segmenter: InteractiveSegmenter,
    photo: EmbeddedPhoto,
    wanted: SegmentRequest,
) -> list[dict[str, Any]] | bytes:
    """Answer the prompts of a request: a prediction for each, or NumPy's npz for `binary`."""
    services.sam2.embeddings.note_use(photo.key, photo.embedding)
    size = photo.embedding.photo_size
    prompts = read_prompts(wanted, size)
    count = len(prompts) * (3 if wanted.all_masks and wanted.multimask_output else 1)
    binary = wanted.format == "binary"
    refuse_too_much(count, size, low_res=wanted.low_res, binary=binary)
    if wanted.load_logits_from_cache:
        prompts = tuple(_refined(services, photo, prompt) for prompt in prompts)
    style = MaskStyle(
        format="json" if wanted.format == "binary" else wanted.format,
        tolerance=wanted.tolerance,
        holes=wanted.holes,
        low_res=wanted.low_res,
        all_masks=wanted.all_masks,
    )
    writer = MaskWriter(style, size)
    predictions: dict[int, dict[str, Any]] = {}
    arrays: dict[int, Sam2Masks] = {}
    with closing(_answers(services, segmenter, photo, prompts, wanted)) as parts:
        for places, answers in parts:
            if binary:
                arrays.update(zip(places, answers, strict=True))
                continue
            with services.metrics.timed("encode"):
                for place, masks in zip(places, answers, strict=True):
                    stop_if_unwanted()
                    predictions[place] = writer.prediction(masks)
    in_order = range(len(prompts))
    if not binary:
        return [predictions[place] for place in in_order]
    with services.metrics.timed("encode"):
        answers = [arrays[place] for place in in_order]
        return masks_as_arrays(answers, size, low_res=wanted.low_res, all_masks=wanted.all_masks)


def _answers(
    services: Services,
    segmenter: InteractiveSegmenter,
    photo: EmbeddedPhoto,
    prompts: Sequence[Prompt],
    wanted: SegmentRequest,
) -> Generator[Part, None, None]:
    """Answers in parts, each of one kind of prompts where there are many.

    While one is written, the network goes on with the next. The rest waits, and may become
    unwanted.
    """

    def ask(places: Sequence[int]) -> Part:
        asked = [prompts[place] for place in places]
        return places, _ask(services, segmenter, photo, asked, wanted)

    most = segmenter.prompts_at_once
    if len(prompts) <= most:
        stop_if_unwanted()
        yield ask(range(len(prompts)))
        return
    batches = batch_prompts(prompts, photo.embedding.photo_size)
    parts = [part.indices for batch in batches for part in batch.parts(most)]
    with ThreadPoolExecutor(PARTS_AHEAD, "prompts") as ahead:
        coming: deque[Future[Part]] = deque()
        try:
            for part in parts:
                stop_if_unwanted()
                coming.append(ahead.submit(copy_context().run, ask, part))
                if len(coming) > PARTS_AHEAD:
                    yield coming.popleft().result()
            while coming:
                yield coming.popleft().result()
        finally:
            for one in coming:
                one.cancel()  # what was not begun when the client left, or one failed


def _ask(
    services: Services,
    segmenter: InteractiveSegmenter,
    photo: EmbeddedPhoto,
    prompts: Sequence[Prompt],
    wanted: SegmentRequest,
) -> Sequence[Sam2Masks]:
    with services.metrics.timed("sam2_prompt"):
        answers = segmenter.segment(photo.embedding, prompts, multimask=wanted.multimask_output)
    if wanted.save_logits_to_cache:
        for prompt, masks in zip(prompts, answers, strict=True):
            services.sam2.logits.save(photo.key, prompt, masks.clamped_logits[masks.best])
    return answers


def _refined(services: Services, photo: EmbeddedPhoto, prompt: Prompt) -> Prompt:
    if prompt.mask_input is not None:  # what a client sends goes before what is kept
        return prompt
    return replace(prompt, mask_input=services.sam2.logits.load(photo.key, prompt))
