"""Many prompts about one photo: what they share is computed once, the rest side by side."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeAlias
from weakref import ReferenceType, ref

import numpy as np

from atrous.runtime.core_budget import CoreBudget
from atrous.runtime.engine_names import PrecisionName
from atrous.sam2.embedding import Embedding
from atrous.sam2.engine import Graph, Network, open_network
from atrous.sam2.prompt_arrays import PromptBatch

EMBEDDING_PARTS = 3  # the first inputs of the photo's network
LEAST_PROMPTS = 8  # what they have in common takes as long as two or three prompts
MOST_POINTS = 4  # a network is loaded for each number of them
PROMPTS_PER_RUN = 2  # what a core works on then stays near it
# A part of a batch, logits (prompts, 4, 256, 256) and predicted IoU (prompts, 4)
Answer: TypeAlias = tuple[PromptBatch, np.ndarray, np.ndarray]


@dataclass(frozen=True, eq=False)
class _Terms:
    """What prompts about a photo, and an earlier mask or none, have in common."""

    embedding: "ReferenceType[Embedding]"
    mask_input: np.ndarray | None
    terms: tuple[np.ndarray, ...]

    def are_of(self, embedding: Embedding, batch: PromptBatch) -> bool:
        return self.embedding() is embedding and self.mask_input is batch.mask_input


class ManyPrompts:
    """The networks for many prompts, loaded with the first that need them; for many threads."""

    def __init__(
        self,
        photo_terms: Graph,
        many_prompts: Graph,
        cores: int,
        budget: CoreBudget,
        *,
        precision: PrecisionName,
        half: bool,
    ) -> None:
        """Remember what to load.

        cores: so many runs go side by side, each on one.
        budget: in which they take their turn.
        precision: of the prompts' part; what they have in common is computed in fp32.
        half: embeddings come as float16.
        """
        self._precision = precision
        self._graphs = (photo_terms, many_prompts)
        self._cores, self._budget = cores, budget
        self._half_inputs = EMBEDDING_PARTS if half else 0
        self._loading = threading.Lock()
        self._photo_side: Network | None = None
        self._decoders: dict[int, Network] = {}  # by the number of points
        self._latest: _Terms | None = None  # requests come in parts: 40 MB are kept for the next
        self._threads = ThreadPoolExecutor(cores, "many prompts")  # started when there is work

    def pays_for(self, batch: PromptBatch) -> bool:
        """Whether the decoder for few prompts would be slower."""
        prompts, points = batch.labels.shape
        return bool(prompts >= LEAST_PROMPTS and 0 < points <= MOST_POINTS)

    def answer(self, embedding: Embedding, batch: PromptBatch) -> Iterator[Answer]:
        """Answer a batch in parts, in order."""
        photo_side, decoder = self._load(batch.labels.shape[1])
        latest = self._latest
        if latest is None or not latest.are_of(embedding, batch):
            features = (embedding.image_embeddings, *embedding.high_res_features)
            with self._budget.take(self._cores):
                terms = photo_side.run([*features, *batch.earlier_mask])
            self._latest = latest = _Terms(ref(embedding), batch.mask_input, terms)
        terms = latest.terms

        def answer_part(part: PromptBatch) -> Answer:
            count = len(part.indices)
            repeated = [min(index, count - 1) for index in range(PROMPTS_PER_RUN)]
            with self._budget.take(1):
                logits, scores = decoder.run([*terms, part.coords[repeated], part.labels[repeated]])
            return part, logits[:count], scores[:count]

        yield from self._threads.map(answer_part, batch.parts(PROMPTS_PER_RUN))

    def _load(self, points: int) -> tuple[Network, Network]:
        photo_terms, many_prompts = self._graphs
        with self._loading:
            if self._photo_side is None:
                self._photo_side = open_network(
                    photo_terms, threads=self._cores, half_inputs=self._half_inputs
                )
            if points not in self._decoders:
                labels = (PROMPTS_PER_RUN, points)
                self._decoders[points] = open_network(
                    many_prompts,
                    precision=self._precision,
                    threads=1,
                    side_by_side=self._cores,
                    fixed_shapes={"point_coords": (*labels, 2), "point_labels": labels},
                )
            return self._photo_side, self._decoders[points]

    def close(self) -> None:
        """Free the networks; nothing else must be called any more."""
        self._threads.shutdown()
        for network in (self._photo_side, *self._decoders.values()):
            if network is not None:
                network.close()
        self._photo_side = self._latest = None
        self._decoders.clear()
