"""One loaded model: photo in, prediction at the photo's own size out."""

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import UInt8

from atrous.domain.predictions import Prediction, Thresholds
from atrous.domain.recipes import PreprocessRecipe
from atrous.domain.views import Views
from atrous.images.preprocess import preprocess
from atrous.packages.directory import ModelPackage
from atrous.packages.manifest import sha256_of
from atrous.runtime.core_budget import CoreBudget
from atrous.runtime.engine_choice import Network, choose_engine
from atrous.runtime.engine_names import Engine, Precision
from atrous.runtime.gathering import GatheringSession
from atrous.runtime.network_turns import NetworkTurns
from atrous.runtime.pixel_classes import PIXELS
from atrous.runtime.postprocess import restore
from atrous.runtime.session import Session, open_session
from atrous.runtime.views import Look, predict_views

logger = logging.getLogger(__name__)

MOST_SECOND_BYTES = 160 << 20  # what a network loaded once more, for crowds, may take at most
GRAPH_BYTES = 20 << 20  # of that: the engine's description of the network
NUMBERS_PER_INPUT_PIXEL = 40  # that a run of it keeps, of the layers in between
NUMBER_BYTES = {"fp32": 4, "int8": 4}  # of each; in all other precisions 2
Step = Literal["contrast", "grayscale", "static_crop"]  # that a request may switch off
Part = Literal["preprocess", "network", "postprocess"]  # of a prediction


class Segmenter:
    """A package with its network loaded. `predict` may be called from many threads."""

    def __init__(
        self,
        package: ModelPackage,
        *,
        engine: Engine = "auto",
        precision: Precision = "auto",
        threads: int | None = None,
        cache_folder: Path | None = None,
        cores: CoreBudget | None = None,
        gather_ms: float = 0.0,
        crowded: Callable[[], bool] = lambda: False,
    ) -> None:
        """Load the network and run it once; see `open_session` for the settings.

        With a cache folder, and engine, precision and threads left open, the fastest of them are
        taken: measured by the first load, read from the folder by the next ones.

        cores: shared by the segmenters of a process; None: this one has all to itself.
        gather_ms: how long a picture waits for others to run with, where the graph takes any batch;
            for GPUs.
        crowded: tells whether requests wait that nobody serves yet; then, with a cache folder,
            photos go through the network two at a time, each on half of the cores.
        Raises BadPackage where the network can't be loaded or does not fit the package.
        """
        self.cores = cores or CoreBudget()
        PIXELS.load(cache_folder)  # beside the network; `warm_up` waits for it
        open_on = _opener(package, engine, precision, threads, cache_folder, self.cores)
        session = open_on(None)
        if session.input_size not in (None, package.preprocess.size):
            # The older layout does not always say the size; the network itself always does.
            logger.warning(
                "the package says %s, its network takes %s, which is used",
                package.preprocess.size,
                session.input_size,
            )
            package = replace(
                package,
                preprocess=replace(
                    package.preprocess, size=session.input_size or package.preprocess.size
                ),
            )
        self.package = package
        # Read now: the file may go while the network is in memory.
        self._second_bytes = second_bytes(package, session.precision)
        gathers = gather_ms and session.batch_size is None
        self._session = GatheringSession(session, gather_ms / 1000) if gathers else session
        halves = not gathers and cache_folder is not None and self._can_be_halved
        self._turns = NetworkTurns(
            self._session,
            session.threads,
            self.cores,
            name=f"the network of {package.folder.name}",
            open_halved=partial(open_on, session.threads // 2) if halves else None,
            crowded=crowded,
        )
        self.warm_up()

    @property
    def engine(self) -> str:
        """The engine in use: "openvino" or "onnxruntime"."""
        return self._session.engine

    @property
    def precision(self) -> str:
        """What the engine computes in: "fp32", "bf16", "fp16", "tf32", "int8" or "int8+bf16"."""
        return self._session.precision

    @property
    def device(self) -> str:
        """Where it computes: "cpu", "cuda" or "tensorrt"."""
        return self._session.device

    @property
    def threads(self) -> int:
        """Cores that one run of the network keeps busy."""
        return self._session.threads

    def predict(
        self,
        image: UInt8[np.ndarray, "height width 3"],
        *,
        confidence: Thresholds = 0.0,
        without: frozenset[Step] = frozenset(),
        timed: Callable[[Part], AbstractContextManager[None]] = lambda _: nullcontext(),
        views: Views | None = None,
        before_look: Callable[[], None] = lambda: None,
    ) -> Prediction:
        """Segment an RGB photo (0..255).

        confidence: pixels whose class is less probable (0..1) become background; one number for
            all classes, or each class id's own.
        without: steps of preprocessing to leave out for this photo.
        timed: gives a context in which a part of the work is done, to measure it.
        views: looks at the photo that are blended; None: those of the package, one by default.
        before_look: called before each of several looks; what it raises ends the prediction.
        """
        recipe = _recipe_without(self.package.preprocess, without)
        views = views or self.package.views
        if not views.is_plain:
            with timed("network"):
                return predict_views(
                    partial(self._see, before_look),
                    image,
                    recipe,
                    views,
                    background_id=self.package.background_id,
                    threshold=confidence,
                    class_count=len(self.package.class_names),
                )
        with timed("preprocess"):
            batch, placement = preprocess(image, recipe)
        with ExitStack() as until_answered:
            with self._turns.take() as session, timed("network"):
                [logits] = until_answered.enter_context(session.lend(batch))
            with timed("postprocess"):
                return restore(
                    logits,
                    placement,
                    background_id=self.package.background_id,
                    threshold=confidence,
                    class_count=len(self.package.class_names),
                    enlarged=self._session.enlarged,
                )

    def _see(
        self,
        before: Callable[[], None],
        image: UInt8[np.ndarray, "height width 3"],
        recipe: PreprocessRecipe,
    ) -> Look:
        """One look of several: the logits are copied, as the engine uses its memory again."""
        before()
        batch, placement = preprocess(image, recipe)
        with self._turns.take() as session, session.lend(batch) as [logits]:
            return Look(logits.copy(), placement, self._session.enlarged)

    @property
    def _can_be_halved(self) -> bool:
        """Whether two runs on half of the threads each keep all cores busy, for little memory."""
        session = self._session
        on_all = session.threads == self.cores.cores and session.threads % 2 == 0
        is_small = self._second_bytes <= MOST_SECOND_BYTES
        return on_all and is_small and (session.engine, session.device) == ("openvino", "cpu")

    @property
    def bytes_for_crowds(self) -> int:
        """About the memory of the second network, which is loaded when requests wait; else 0."""
        return self._second_bytes if self._turns.is_there_twice else 0

    def warm_up(self) -> None:
        """Run once on black: engines allocate on the first run, and a misfit shows here."""
        size = self.package.preprocess.size
        self.predict(np.zeros((size.height, size.width, 3), np.uint8), views=Views())

    def close(self) -> None:
        """Free the network; `predict` must not be called any more."""
        self._turns.close()


def second_bytes(package: ModelPackage, precision: str) -> int:
    """About the memory of a network that is loaded once more, for two runs at once.

    Measured with ResNet-50 at 512x512, in MiB: fp32 201, bf16 112, int8 159, int8 with bf16 122.
    """
    weights = package.weights.stat().st_size
    if package.manifest.get("export", {}).get("precision") == "fp16":
        weights *= 2  # as if they were of fp32
    size = NUMBER_BYTES.get(precision, 2)
    packed = weights // 2 if precision in ("bf16", "fp16") else weights
    if precision.startswith("int8"):
        packed *= 2  # these are read from the file in each run, too
    runs = 2 * size * NUMBERS_PER_INPUT_PIXEL * package.preprocess.size.area
    return packed + GRAPH_BYTES + runs


def _opener(
    package: ModelPackage,
    engine: Engine,
    precision: Precision,
    threads: int | None,
    cache_folder: Path | None,
    cores: CoreBudget,
) -> Callable[[int | None], Session]:
    """What opens the network as it was asked for or chosen, on so many threads if not None."""
    checksum = None
    if cache_folder is not None:
        known = package.manifest.get("checksums", {})  # verified when the package was read
        checksum = known.get(package.weights.name) or sha256_of(package.weights)
        if (engine, precision, threads) == ("auto", "auto", None):
            network = Network(package.weights, checksum, package.preprocess.size, cache_folder)
            choice = choose_engine(network, cores)
            return lambda on: network.open(replace(choice, threads=on or choice.threads))
    return lambda on: open_session(
        package.weights,
        engine=engine,
        precision=precision,
        threads=on or threads,
        cache_folder=cache_folder,
        input_size=package.preprocess.size,
        checksum=checksum,
        coarse=True,
    )


def _recipe_without(recipe: PreprocessRecipe, steps: frozenset[Step]) -> PreprocessRecipe:
    return replace(
        recipe,
        contrast=None if "contrast" in steps else recipe.contrast,
        grayscale=recipe.grayscale and "grayscale" not in steps,
        static_crop=None if "static_crop" in steps else recipe.static_crop,
    )
