"""One loaded SAM 2 model: photo -> embedding, embedding and prompts -> masks."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float32, UInt8

from atrous.domain.geometry import Size
from atrous.domain.prompts import Prompt
from atrous.runtime.core_budget import CoreBudget
from atrous.runtime.engine_names import Engine, EngineName, Precision, PrecisionName
from atrous.runtime.network_turns import NetworkTurns
from atrous.runtime.processor import available_cores
from atrous.runtime.prompt_passes import PROMPTS_PER_RUN
from atrous.sam2.embedding import EMBEDDING_PARTS, Embedding
from atrous.sam2.engine import KeptGraph, Network, open_network
from atrous.sam2.engine_choice import EngineReport, open_networks
from atrous.sam2.many_prompts import Answer, ManyPrompts
from atrous.sam2.models import Sam2Package
from atrous.sam2.photo_input import prepare_photo
from atrous.sam2.prompt_arrays import PromptBatch, batch_prompts

logger = logging.getLogger(__name__)

LOGIT_LIMIT = 32.0  # of the logits that the official predictor gives out
STABILITY_DELTA, STABILITY_THRESHOLD = 0.05, 0.98  # of SAM 2's choice of a single mask


@dataclass(frozen=True, eq=False)
class Sam2Masks:
    """The answer to one prompt: three masks, or one.

    low_res_logits: positive on the object; to the photo's own size: `photo_masks.restore_mask`.
    predicted_iou: what the network thinks of each mask, around 0..1; not ordered.
    """

    low_res_logits: Float32[np.ndarray, "masks 256 256"]
    predicted_iou: Float32[np.ndarray, " masks"]

    @property
    def best(self) -> int:
        """The index of the mask with the highest predicted IoU."""
        return int(self.predicted_iou.argmax())

    @property
    def clamped_logits(self) -> Float32[np.ndarray, "masks 256 256"]:
        """Within -32..32, as the official predictor gives them out, and wants them back to refine.

        Masks at the photo's size are made from the logits before that.
        """
        return self.low_res_logits.clip(-LOGIT_LIMIT, LOGIT_LIMIT)


class InteractiveSegmenter:
    """A SAM 2 model with its networks loaded; safe to be called from many threads."""

    def __init__(
        self,
        package: Sam2Package,
        *,
        engine: Engine = "auto",
        precision: Precision = "auto",
        threads: int | None = None,
        cache_folder: Path | None = None,
        embeddings: Literal["float16", "float32"] = "float16",
        cores: CoreBudget | None = None,
        crowded: Callable[[], bool] = lambda: False,
    ) -> None:
        """Load the networks of a package; BadPackage where they can't be.

        engine, precision: "auto" takes the fastest that agrees with the exact one: tried on this
            machine when it loads the model for the first time, see `engine_choice`.
        threads: of one run; None: all cores.
        cache_folder: where the choice is remembered.
        embeddings: in what `embed` keeps features; half precision changes fewer than one pixel in
            a thousand.
        cores: shared by the networks of a process; None: this model has all to itself. Answers to
            prompts take their turn in it, an encoding does not: it takes seconds, for which all
            others would have to wait.
        crowded: tells whether requests wait that nobody serves yet; then prompts are answered two
            at a time, each on half of the cores.
        """
        self.package = package
        cores = cores or CoreBudget()
        threads_here = threads or available_cores()
        # Of one kind, that keep all cores busy; as many as make it worth while in any case.
        self.prompts_at_once = PROMPTS_PER_RUN * max(2, threads_here)
        self._dtype = np.dtype(embeddings)
        encoder, decoder, report = open_networks(
            package,
            engine=engine,
            precision=precision,
            threads=threads,
            cache_folder=cache_folder,
            half_embeddings=embeddings == "float16",
        )
        self._encoder: Network = encoder
        self._decoder = NetworkTurns(
            decoder,
            threads_here,
            cores,
            name=f"the decoder of {package.variant}",
            open_halved=_halved_decoder(package, report, threads_here, embeddings),
            crowded=crowded,
        )
        self.report: EngineReport = report  # what was tried, and how it was chosen
        self._many = _many_prompts(package, report, threads_here, cores, embeddings, cache_folder)

    @property
    def engine(self) -> EngineName:
        """The engine in use."""
        return self._encoder.engine

    @property
    def precision(self) -> PrecisionName:
        """What the engine computes in."""
        return self._encoder.precision

    def embed(self, image: UInt8[np.ndarray, "height width 3"]) -> Embedding:
        """Encode an RGB photo (0..255); a second or more."""
        features = self._encoder.run([prepare_photo(image)])
        positions, cells_4, cells_16 = (part.astype(self._dtype) for part in features)
        return Embedding(Size(*image.shape[:2]), positions, (cells_4, cells_16))

    def segment(
        self, embedding: Embedding, prompts: Sequence[Prompt], *, multimask: bool
    ) -> list[Sam2Masks]:
        """Answer prompts, one `Sam2Masks` each, in order.

        No prompt changes another's answer, but for rounding: many go another way than few.

        multimask: three masks per prompt; else one, the more stable of two candidates.
        """
        answers: dict[int, Sam2Masks] = {}
        choose = three_masks if multimask else stable_mask
        for batch in batch_prompts(prompts, embedding.photo_size):
            for part, logits, scores in self._answer(embedding, batch):
                for index, four, iou in zip(part.indices, logits, scores, strict=True):
                    answers[index] = choose(four, iou)
        return [answers[index] for index in range(len(prompts))]

    def _answer(self, embedding: Embedding, batch: PromptBatch) -> Iterator[Answer]:
        if self._many is not None and self._many.pays_for(batch) and self._many.is_ready():
            yield from self._many.answer(embedding, batch)
            return
        for part in batch.parts(PROMPTS_PER_RUN):
            yield part, *self._decode(embedding, part)

    def _decode(self, embedding: Embedding, batch: PromptBatch) -> tuple[np.ndarray, np.ndarray]:
        """Logits (prompts, 4, 256, 256) and predicted IoU (prompts, 4)."""
        inputs = [
            embedding.image_embeddings,
            *embedding.high_res_features,
            batch.coords,
            batch.labels,
            *batch.earlier_mask,
        ]
        with self._decoder.take() as decoder:
            logits, scores = decoder.run(inputs)
        return logits, scores

    def close(self) -> None:
        """Free the networks; nothing else must be called any more."""
        self._encoder.close()
        self._decoder.close()
        if self._many is not None:
            self._many.close()


def _many_prompts(
    package: Sam2Package,
    report: EngineReport,
    threads: int,
    cores: CoreBudget,
    embeddings: str,
    cache_folder: Path | None,
) -> ManyPrompts | None:
    """The networks for many prompts, to be loaded when they are needed; None: there are none."""
    if package.for_many is None:
        again = f"atrous sam2 remove {package.name}; atrous sam2 add {package.variant}"
        logger.info(
            "%s was converted by an earlier version, and takes longer for many prompts about a "
            "photo; to convert it again: %s --version %s",
            *(package.name, again, package.version),
        )
        return None
    if not report.computes_many:
        return None
    return ManyPrompts(
        [KeptGraph(path) for path in package.for_many],
        threads,
        cores,
        precision=report.precision,
        half=embeddings == "float16",
        cache_folder=cache_folder,
    )


def _halved_decoder(
    package: Sam2Package, report: EngineReport, threads: int, embeddings: str
) -> Callable[[], Network] | None:
    """How to open the decoder for two runs at once; None where that would leave cores idle."""
    if report.engine != "openvino" or threads % 2:
        return None
    return partial(
        open_network,
        KeptGraph(package.decoder),
        precision=report.precision,
        threads=threads // 2,
        side_by_side=2,
        half_inputs=EMBEDDING_PARTS if embeddings == "float16" else 0,
    )


def three_masks(
    logits: Float32[np.ndarray, "4 256 256"], scores: Float32[np.ndarray, "4"]
) -> Sam2Masks:
    """The masks for an ambiguous prompt: all but the first, as SAM 2 has it."""
    return Sam2Masks(logits[1:], scores[1:])


def stable_mask(
    logits: Float32[np.ndarray, "4 256 256"], scores: Float32[np.ndarray, "4"]
) -> Sam2Masks:
    """The first mask, unless it is unstable: then the best of the other three.

    Stable is a mask that stays the same when the threshold moves a little (SAM 2's
    `dynamic_multimask_via_stability`).
    """
    inner = np.count_nonzero(logits[0] > STABILITY_DELTA)
    outer = np.count_nonzero(logits[0] > -STABILITY_DELTA)
    stability = inner / outer if outer else 1.0
    chosen = 0 if stability >= STABILITY_THRESHOLD else 1 + int(scores[1:].argmax())
    return Sam2Masks(logits[chosen : chosen + 1], scores[chosen : chosen + 1])
