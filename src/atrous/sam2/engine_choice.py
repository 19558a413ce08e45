"""The fastest engine and precision that agree with the exact one, tried once per machine."""

import json
import logging
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from atrous.disk.whole import write_whole
from atrous.domain.errors import MissingDependency
from atrous.domain.geometry import Size
from atrous.domain.prompts import Point, Prompt
from atrous.runtime.agreement import label_agreement
from atrous.runtime.compiled_networks import Environment
from atrous.runtime.core_budget import CoreBudget
from atrous.runtime.engine_names import Engine, EngineName, Precision, PrecisionName
from atrous.runtime.prompt_passes import PROGRAMS, PromptPasses
from atrous.runtime.trial_pictures import trial_pictures
from atrous.sam2.embedding import EMBEDDING_PARTS, Embedding
from atrous.sam2.engine import Arrays, Network, open_network, shared_core
from atrous.sam2.many_prompts import ManyPrompts
from atrous.sam2.models import Sam2Package
from atrous.sam2.photo_input import SIDE
from atrous.sam2.prompt_arrays import PromptBatch, batch_prompts

logger = logging.getLogger(__name__)

LEAST_AGREEMENT = 0.99  # of the signs of logits, weighed by their size
LEAST_GAIN = 1.05  # times as fast: less is not worth a bit of exactness
REPEATS = 3


@dataclass(frozen=True)
class EngineReport:
    """What was chosen, and why. Times are of all cores together; None where not measured."""

    engine: EngineName
    precision: PrecisionName
    agreement: float | None = None  # of bf16 with fp32, 0..1
    encode_cpu_s: dict[str, float] | None = None  # by precision
    decode_cpu_s: dict[str, float] | None = None
    many_agreement: float | None = None  # of the networks for many prompts, in bf16 with fp32

    @property
    def computes_many(self) -> bool:
        """Whether the networks for many prompts can be used: OpenVINO's, in bf16 once tried."""
        agrees = self.precision == "fp32" or (self.many_agreement or 0.0) >= LEAST_AGREEMENT
        return self.engine == "openvino" and agrees


@dataclass(frozen=True, eq=False)
class _Pair:
    """Both networks of a model in one precision."""

    encoder: Network
    decoder: Network

    def close(self) -> None:
        self.encoder.close()
        self.decoder.close()


def open_networks(
    package: Sam2Package,
    *,
    engine: Engine = "auto",
    precision: Precision = "auto",
    threads: int | None = None,
    cache_folder: Path | None = None,
    half_embeddings: bool = True,
) -> tuple[Network, Network, EngineReport]:
    """Load encoder and decoder; what "auto" leaves open is tried, and remembered in the folder.

    OpenVINO is taken where it is installed: it is faster than ONNX Runtime on both networks. bf16
    is taken where it is faster here, and where masks of trial prompts agree with those of fp32.
    """
    chosen = _engine_here() if engine == "auto" else engine
    half = EMBEDDING_PARTS if half_embeddings else 0

    def open_pair(kind: PrecisionName) -> _Pair:
        encoder = open_network(package.encoder, engine=chosen, precision=kind, threads=threads)
        decoder = open_network(
            package.decoder, engine=chosen, precision=kind, threads=threads, half_inputs=half
        )
        return _Pair(encoder, decoder)

    if precision != "auto" or not _may_gain_by_bf16(chosen):
        kind: PrecisionName = "fp32" if precision == "auto" else precision
        pair, report = open_pair(kind), EngineReport(chosen, kind)
    else:
        record = _record_path(package, cache_folder, threads)
        known = _read_record(record)
        if known is not None:
            pair, report = open_pair(known.precision), known
        else:
            if package.for_many:
                PromptPasses("bf16", cache_folder)  # begins to load machine code, or to compile it
            pair, report = _try_both(
                open_pair("fp32"), open_pair("bf16"), package.for_many, cache_folder
            )
            logger.info("SAM 2 %s: %s", package.name, report)
            unknown = report.precision == "bf16" and report.many_agreement is None
            if record is not None and not (package.for_many and unknown):
                _keep(record, report)
    return pair.encoder, pair.decoder, report


def _keep(record: Path, report: EngineReport) -> None:
    try:
        record.parent.mkdir(parents=True, exist_ok=True)
        write_whole(record, json.dumps(asdict(report), indent=2).encode())
    except OSError as error:
        logger.warning("%s can't be written (%s): the engines are tried again", record, error)


def _engine_here() -> EngineName:
    try:
        shared_core()
    except MissingDependency:
        return "onnxruntime"
    return "openvino"


def _may_gain_by_bf16(engine: EngineName) -> bool:
    if engine == "onnxruntime":
        return False
    return "BF16" in shared_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def _try_both(
    exact: _Pair,
    fast: _Pair,
    for_many: tuple[Path, ...] | None,
    cache_folder: Path | None = None,
) -> tuple[_Pair, EngineReport]:
    """Run both on a trial picture in turn; close the one that is not taken.

    What counts is the processor's time, and the least of it: other programs make all take longer.
    """
    photo, prompts = trial_pictures(Size(SIDE, SIDE))[-1], _trial_prompts()
    encode_s: dict[str, list[float]] = {"fp32": [], "bf16": []}
    decode_s: dict[str, list[float]] = {"fp32": [], "bf16": []}
    masks: dict[str, np.ndarray] = {}
    for _ in range(REPEATS):
        for kind, pair in (("fp32", exact), ("bf16", fast)):
            start = time.process_time()
            embedding = pair.encoder.run([photo])
            encode_s[kind].append(time.process_time() - start)
            inputs = [*embedding, prompts.coords, prompts.labels, *prompts.earlier_mask]
            pair.decoder.run(inputs)  # the first run of a shape allocates
            start = time.process_time()
            masks[kind] = pair.decoder.run(inputs)[0]
            decode_s[kind].append(time.process_time() - start)
    agreement = _agreement(masks["fp32"], masks["bf16"])
    encode = {kind: min(times) for kind, times in encode_s.items()}
    decode = {kind: min(times) for kind, times in decode_s.items()}
    gain = min(encode["fp32"] / encode["bf16"], decode["fp32"] / decode["bf16"])
    takes_fast = agreement >= LEAST_AGREEMENT and gain >= LEAST_GAIN
    taken, left = (fast, exact) if takes_fast else (exact, fast)
    left.close()
    many_agreement = None
    if takes_fast and for_many:
        answers = _answers_of_many(for_many, embedding, prompts, cache_folder)
        many_agreement = None if answers is None else _agreement(masks["fp32"], answers)
    precision: PrecisionName = "bf16" if takes_fast else "fp32"
    return taken, EngineReport("openvino", precision, agreement, encode, decode, many_agreement)


def _answers_of_many(
    for_many: tuple[Path, ...],
    embedding: Arrays,
    prompts: PromptBatch,
    cache_folder: Path | None,
) -> np.ndarray | None:
    """Logits of many prompts, in bf16; None where the machine code for them can't be made."""
    positions, *cells = embedding
    photo = Embedding(Size(SIDE, SIDE), positions, (cells[0], cells[1]))
    cores = CoreBudget()
    many = ManyPrompts(
        for_many, cores.cores, cores, precision="bf16", half=False, cache_folder=cache_folder
    )
    try:
        if not many.is_ready(wait=True):
            return None
        return np.concatenate([logits for _, logits, _ in many.answer(photo, prompts)])
    finally:
        many.close()


def _trial_prompts() -> PromptBatch:
    """Four clicks over the picture, at places that bf16 has no numbers for."""
    places = [(255.3, 257.4), (769.4, 254.7), (253.6, 771.2), (765.3, 766.6)]
    prompts = [Prompt(points=(Point(x, y, positive=True),)) for x, y in places]
    [batch] = batch_prompts(prompts, Size(SIDE, SIDE))
    return batch


def _agreement(exact: np.ndarray, other: np.ndarray) -> float:
    pairs = zip(exact.reshape(-1, 1, 256, 256), other.reshape(-1, 1, 256, 256), strict=True)
    return float(np.mean([label_agreement(one, another) for one, another in pairs]))


def _record_path(
    package: Sam2Package, cache_folder: Path | None, threads: int | None
) -> Path | None:
    """Where the choice for these weights, this machine and code, and as many threads lies."""
    if cache_folder is None:
        return None
    here, code = Environment.here().digest, PROGRAMS["bf16"].fingerprint[:8]
    name = f"{package.name}-{package.networks_digest[:12]}-{here}-{code}-{threads or 'all'}"
    return cache_folder / "sam2" / f"{name}.json"


def _read_record(path: Path | None) -> EngineReport | None:
    if path is None or not path.is_file():
        return None
    try:
        values: dict[str, Any] = json.loads(path.read_bytes())
        report = EngineReport(**values)
    except (ValueError, TypeError) as error:
        logger.warning("%s is damaged (%s); the engines are tried again", path, error)
        return None
    return report if report.precision in ("fp32", "bf16") else None
