"""Which engine, precision and threads are fastest for a network on this machine, measured once."""

import json
import logging
import threading
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np
from jaxtyping import Float32

from atrous.disk.whole import write_whole
from atrous.domain.errors import BadInput, BadPackage, MissingDependency
from atrous.domain.geometry import Size
from atrous.runtime.agreement import label_agreement, thinned
from atrous.runtime.compiled_networks import Environment, remove_compiled
from atrous.runtime.core_budget import CoreBudget
from atrous.runtime.engine_names import EngineName, PrecisionName
from atrous.runtime.openvino_session import offers_bf16
from atrous.runtime.process_memory import give_back_freed
from atrous.runtime.processor import ProcessorTime
from atrous.runtime.session import Session, open_session
from atrous.runtime.trial_pictures import trial_pictures

logger = logging.getLogger(__name__)

FORMAT = 2
LEAST_AGREEMENT = 0.99  # of labels with those of fp32
WORTH = 0.9  # a challenger has to take less than this share of the best time so far
FEWER_THREADS = 1.15  # fewer threads may take this much longer: others run on the cores left over
LEAST_RUNS, MOST_RUNS, MOST_SECONDS = 2, 5, 2.0  # of each side of a duel
MOST_SECONDS_IN_ALL = 15.0  # no further candidate is tried then
ONE_MEASUREMENT = threading.Lock()  # two at once would measure each other


@dataclass(frozen=True)
class Choice:
    """What a network is run with."""

    engine: EngineName
    precision: PrecisionName
    threads: int


@dataclass(frozen=True)
class Trial:
    """One candidate and what became of it."""

    choice: Choice
    verdict: str
    milliseconds: float | None = None  # the fastest run; on CPUs of all cores together
    agreement: float | None = None  # share of labels that are those of fp32, 0..1


@dataclass(frozen=True)
class Lap:
    """What one run took: by the clock, and of the processor, all cores together."""

    wall_s: float
    processor_s: float


@dataclass(frozen=True)
class Record:
    """The outcome of a measurement, and what it holds for; saved as JSON."""

    chosen: Choice
    trials: list[Trial]
    environment: Environment = field(default_factory=Environment.here)
    format: int = FORMAT

    def write(self, path: Path) -> None:
        """Replace the file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(asdict(self), indent=2).encode())


@dataclass(frozen=True)
class Network:
    """What is to be run."""

    weights: Path
    checksum: str  # SHA-256 of the file
    input_size: Size
    cache_folder: Path

    @property
    def record_path(self) -> Path:
        """Where the outcome is kept; the package itself is never changed."""
        return self.cache_folder / f"{self.checksum[:24]}-{self.input_size}-engine.json"

    def open(self, choice: Choice) -> Session:
        """Load it, compiled before where it was."""
        return open_session(
            self.weights,
            engine=choice.engine,
            precision=choice.precision,
            threads=choice.threads,
            cache_folder=self.cache_folder,
            input_size=self.input_size,
            checksum=self.checksum,
            coarse=True,
        )


def choose_engine(network: Network, cores: CoreBudget) -> Choice:
    """Give the recorded choice, or measure one and record it.

    Measured by duels: each challenger runs alternately with the best so far, after it has shown
    that its labels are those of fp32 (or, of a quantised network, those of its int8 layers beside
    fp32). On CPUs the least processor time counts, which other programs hardly change. The record
    holds for these weights, processor, GPUs and versions; none is kept where other programs took so
    much time that an engine or a precision was left out. Fewer threads are not tried beside other
    programs: all cores are recorded then.
    Raises BadPackage where no engine can run the network.
    """
    chosen = _read_choice(network.record_path)
    if chosen is not None:
        return chosen
    with ONE_MEASUREMENT:
        chosen = _read_choice(network.record_path)  # by another thread that measured meanwhile
        return chosen or _measure(network, cores)


def _measure(network: Network, cores: CoreBudget) -> Choice:
    start = perf_counter()
    contest = _Contest(network, cores)
    record = contest.hold()
    try:
        if not contest.cut_short_by_others:
            record.write(network.record_path)
        remove_compiled(network.cache_folder, network.checksum, but=record.chosen.precision)
    except OSError as error:
        logger.warning("%s can't be written (%s)", network.cache_folder, error.strerror)
    give_back_freed()
    logger.info(
        "engines measured in %.1f s: %s",
        perf_counter() - start,
        "; ".join(_line(trial) for trial in record.trials),
    )
    return record.chosen


def _read_choice(path: Path) -> Choice | None:
    """What was recorded here before; None where nothing was, or something has changed."""
    if not path.is_file():
        return None
    try:
        values: dict[str, Any] = json.loads(path.read_text())
        if (values["format"], values["environment"]) == (FORMAT, asdict(Environment.here())):
            return Choice(**values["chosen"])
    except (ValueError, KeyError, TypeError) as error:
        logger.warning("%s is damaged, engines are measured anew: %r", path, error)
    return None


def _line(trial: Trial) -> str:
    choice = trial.choice
    words = f"{choice.engine} {choice.precision} on {choice.threads}: {trial.verdict}"
    return f"{words}, {trial.milliseconds:.0f} ms" if trial.milliseconds else words


class _Contest:
    """Candidates one after the other; at most two networks are in memory at a time."""

    def __init__(self, network: Network, cores: CoreBudget) -> None:
        self._network, self._cores = network, cores
        self._trials: list[Trial] = []
        self.cut_short_by_others = False
        self._start_s, self._start = perf_counter(), ProcessorTime.now()

    def hold(self) -> Record:
        """Measure all candidates."""
        first = Choice("openvino", "fp32", self._cores.cores)
        fallback = replace(first, engine="onnxruntime")
        try:
            session = self._network.open(first)
        except (BadPackage, MissingDependency) as error:
            logger.warning("OpenVINO can't run this network, ONNX Runtime is tried: %s", error)
            self._network.open(fallback).close()
            return Record(fallback, [Trial(first, str(error)), Trial(fallback, "the only one")])
        self._best, self._session = first, session
        self._pictures = trial_pictures(session.input_size or self._network.input_size)
        self._exact = [self._run(session, picture)[1] for picture in self._pictures]
        self._trials.append(Trial(first, "the reference", agreement=1.0))
        challengers = [replace(first, precision="bf16")] if offers_bf16() else []
        for challenger in (*challengers, fallback):
            self._challenge(challenger, WORTH)
        self._try_fewer_threads()
        self._session.close()
        return Record(self._best, self._trials)

    def _try_fewer_threads(self) -> None:
        """Halve the threads as long as one run alone hardly suffers."""
        while self._best.threads > 1 and self._session.device == "cpu":
            fewer = replace(self._best, threads=self._best.threads // 2)
            if self._crowded():
                # With a busy machine it would seem that threads are of no use.
                self._trials.append(Trial(fewer, "not tried: other programs used the cores"))
                return
            self._challenge(fewer, FEWER_THREADS, by_clock=True)
            if self._best != fewer:
                return

    def _crowded(self) -> bool:
        """Whether other programs kept this one from cores since the contest began."""
        end = ProcessorTime.now()
        return bool(self._start and end and self._start.crowded_until(end))

    def _challenge(self, choice: Choice, worth: float, by_clock: bool = False) -> None:
        """Let a candidate run against the best so far; it becomes the best within `worth`.

        by_clock: measure by the clock, as fewer threads never need more of the processor.
        """
        if perf_counter() - self._start_s > MOST_SECONDS_IN_ALL:
            self.cut_short_by_others |= self._crowded()
            self._trials.append(Trial(choice, "not tried: the others took too long"))
            return
        try:
            session = self._network.open(choice)
        except (BadInput, MissingDependency) as error:
            self._trials.append(Trial(choice, str(error)))
            return
        by_clock = by_clock or {self._session.device, session.device} != {"cpu"}
        best_s, challenger_s, agreement = self._duel(session, by_clock)
        agrees, fast = agreement >= LEAST_AGREEMENT, challenger_s < worth * best_s
        loser = session
        if agrees and fast:
            loser, self._session, self._best = self._session, session, choice
        loser.close()
        verdict = "won" if agrees and fast else "too slow" if agrees else "its labels differ"
        verdict += f"; the best before: {1000 * best_s:.1f} ms"
        self._trials.append(Trial(choice, verdict, round(1000 * challenger_s, 1), agreement))

    def _duel(self, challenger: Session, by_clock: bool) -> tuple[float, float, float]:
        """The fastest run of each, alternating so that both meet the same load; the agreement."""
        best, challenging, agreements = [], [], []
        start = perf_counter()
        for number in range(MOST_RUNS):
            if number >= LEAST_RUNS and perf_counter() - start > 2 * MOST_SECONDS:
                break
            index = number % len(self._pictures)
            picture = self._pictures[index]
            best.append(self._run(self._session, picture)[0])
            lap, logits = self._run(challenger, picture)
            challenging.append(lap)
            agreements.append(label_agreement(self._exact[index], logits))
        best_s, challenger_s = (
            min(lap.wall_s if by_clock else lap.processor_s for lap in laps)
            for laps in (best, challenging)
        )
        return best_s, challenger_s, sum(agreements) / len(agreements)

    def _run(
        self, session: Session, picture: Float32[np.ndarray, "1 3 height width"]
    ) -> tuple[Lap, Float32[np.ndarray, "channels rows columns"]]:
        """What one run took, and its logits on a coarse grid."""
        # Requests of other models may run between two runs, not beside them.
        with self._cores.take(self._cores.cores):
            start, processor_start = perf_counter(), process_time()
            with session.lend(picture) as logits:
                lap = Lap(perf_counter() - start, process_time() - processor_start)
                return lap, thinned(logits[0], session.enlarged)
