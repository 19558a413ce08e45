"""Many prompts about one photo: what they share is computed once, the rest side by side."""

import logging
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias
from weakref import ReferenceType, WeakSet, ref

import numpy as np

from atrous.domain.errors import MissingDependency
from atrous.runtime.core_budget import CoreBudget
from atrous.runtime.engine_names import PrecisionName
from atrous.runtime.prompt_passes import (
    PROMPTS_PER_RUN,
    STAGES,
    Arrays,
    PromptPasses,
    stage_shapes,
)
from atrous.sam2.embedding import EMBEDDING_PARTS, Embedding
from atrous.sam2.engine import Graph, Network, open_network
from atrous.sam2.prompt_arrays import PromptBatch

logger = logging.getLogger(__name__)

LEAST_PROMPTS = 8  # what they have in common takes as long as two or three prompts
LEAST_PER_RUN = 4  # networks for tokens compute as many as the largest run has, in any case
MOST_POINTS = 4  # networks are loaded for each number of them
# A part of a batch, logits (prompts, 4, 256, 256) and predicted IoU (prompts, 4)
Answer: TypeAlias = tuple[PromptBatch, np.ndarray, np.ndarray]


@dataclass(frozen=True, eq=False)
class _Terms:
    """What prompts about a photo, and an earlier mask or none, have in common."""

    embedding: "ReferenceType[Embedding]"
    mask_input: np.ndarray | None
    terms: Arrays

    def are_of(self, embedding: Embedding, batch: PromptBatch) -> bool:
        return self.embedding() is embedding and self.mask_input is batch.mask_input


class ManyPrompts:
    """The networks for many prompts, loaded with the first that need them; for many threads."""

    def __init__(
        self,
        graphs: Sequence[Graph],
        cores: int,
        budget: CoreBudget,
        *,
        precision: PrecisionName,
        half: bool,
        cache_folder: Path | None = None,
    ) -> None:
        """Remember what to load, and begin to load the machine code between the networks.

        graphs: what prompts have in common, and the stages of `prompt_passes.STAGES`.
        cores: so many runs go side by side, each on one.
        budget: in which they take their turn.
        precision: of the prompts' part; what they have in common is computed in fp32.
        half: embeddings come as float16.
        cache_folder: for the machine code, where it can't lie beside its source.
        """
        self._precision = precision
        self._photo_graph, *self._stage_graphs = graphs
        self._cores, self._budget = cores, budget
        self._half_inputs = EMBEDDING_PARTS if half else 0
        self._passes = PromptPasses(precision, cache_folder)
        self._works: bool | None = None  # not known yet
        self._loading = threading.Lock()
        self._photo_side: Network | None = None
        self._stages: dict[int, list[Network]] = {}  # by the number of points
        # 32 MB of a photo (46 in fp32) are kept for the next part of a request, and while any is
        # in work.
        self._latest: _Terms | None = None
        self._in_work: WeakSet[_Terms] = WeakSet()
        self._sharing = threading.Lock()
        self._threads = ThreadPoolExecutor(cores, "many prompts")  # started when there is work

    def pays_for(self, batch: PromptBatch) -> bool:
        """Whether the decoder for few prompts would be slower."""
        prompts, points = batch.labels.shape
        return bool(prompts >= LEAST_PROMPTS and 0 < points <= MOST_POINTS)

    def is_ready(self, *, wait: bool = False) -> bool:
        """Whether the machine code is there; not yet, or for good where it can't be made.

        wait: until that is known. Needs no core.
        """
        loading = self._passes.loading
        if self._works is None and (wait or loading.done()):
            try:
                loading.result()
                self._works = True
            except MissingDependency as error:
                logger.warning("many prompts about a photo are answered one by one: %s", error)
                self._works = False
        return bool(self._works)

    def answer(self, embedding: Embedding, batch: PromptBatch) -> Iterator[Answer]:
        """Answer a batch in parts, in order."""
        photo_side, stages = self._load(batch.labels.shape[1])
        shared = self._shared(photo_side, embedding, batch)

        def run_stage(number: int, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
            count = len(inputs[0])
            repeated = [min(index, count - 1) for index in range(PROMPTS_PER_RUN)]
            outputs = stages[number].run([given[repeated] for given in inputs])
            return [output[:count] for output in outputs]

        def answer_part(part: PromptBatch) -> Answer:
            with self._budget.take(1):
                return part, *self._passes.answer(shared.terms, part.coords, part.labels, run_stage)

        # As many runs for each core, all about as long.
        rounds = -(-len(batch.indices) // (PROMPTS_PER_RUN * self._cores))
        per_run = max(LEAST_PER_RUN, -(-len(batch.indices) // (rounds * self._cores)))
        yield from self._threads.map(answer_part, batch.parts(per_run))

    def _shared(self, photo_side: Network, embedding: Embedding, batch: PromptBatch) -> _Terms:
        """What the prompts have in common, computed where no other part has done so."""
        with self._sharing:
            for known in self._in_work:
                if known.are_of(embedding, batch):
                    self._latest = known
                    return known
            features = (embedding.image_embeddings, *embedding.high_res_features)
            with self._budget.take(self._cores):
                terms = self._passes.photo(photo_side.run([*features, *batch.earlier_mask]))
            self._latest = found = _Terms(ref(embedding), batch.mask_input, terms)
            self._in_work.add(found)
            return found

    def _load(self, points: int) -> tuple[Network, list[Network]]:
        with self._loading:
            if self._photo_side is None:
                self._photo_side = open_network(
                    self._photo_graph, threads=self._cores, half_inputs=self._half_inputs
                )
            if points not in self._stages:
                shapes = stage_shapes(PROMPTS_PER_RUN, points)
                self._stages[points] = [
                    open_network(
                        graph,
                        # Where clicks lie needs more than bf16's 8 bits, and takes no time.
                        precision="fp32" if stage is STAGES[0] else self._precision,
                        threads=1,  # the caller's own
                        fixed_shapes={name: shapes[name] for name in stage.inputs},
                    )
                    for graph, stage in zip(self._stage_graphs, STAGES, strict=True)
                ]
            return self._photo_side, self._stages[points]

    def close(self) -> None:
        """Free the networks; nothing else must be called any more."""
        self._threads.shutdown()
        for network in (self._photo_side, *(one for many in self._stages.values() for one in many)):
            if network is not None:
                network.close()
        self._photo_side = self._latest = None
        self._stages.clear()
