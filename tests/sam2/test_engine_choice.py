import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from atrous.runtime.core_budget import CoreBudget
from atrous.sam2 import engine_choice
from atrous.sam2.embedding import Embedding
from atrous.sam2.engine import shared_core
from atrous.sam2.engine_choice import EngineReport, open_networks
from atrous.sam2.many_prompts import LEAST_PROMPTS, ManyPrompts
from atrous.sam2.prompt_arrays import PromptBatch
from atrous.sam2.segmenter import InteractiveSegmenter

HAS_BF16 = "BF16" in shared_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
bf16_only = pytest.mark.skipif(not HAS_BF16, reason="this processor has no bf16")


def close(*networks: Any) -> None:
    for network in networks:
        network.close()


@bf16_only
def test_choice_is_tried_once_and_remembered(sam2_package: Any, tmp_path: Path) -> None:
    *networks, report = open_networks(sam2_package, cache_folder=tmp_path)
    close(*networks)
    assert report.engine == "openvino"
    assert report.agreement is not None
    assert report.encode_cpu_s is not None
    assert set(report.encode_cpu_s) == {"fp32", "bf16"}
    (record,) = (tmp_path / "sam2").iterdir()
    assert json.loads(record.read_bytes())["precision"] == report.precision

    record.write_text(json.dumps({"engine": "openvino", "precision": "bf16", "agreement": 1.0}))
    encoder, decoder, remembered = open_networks(sam2_package, cache_folder=tmp_path)
    assert remembered == EngineReport("openvino", "bf16", 1.0)
    assert (encoder.precision, decoder.precision) == ("bf16", "bf16")
    close(encoder, decoder)


@bf16_only
def test_what_is_not_known_of_many_prompts_is_tried_again(
    sam2_package: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine code may be there next time."""

    def open_where(many_agreement: float | None) -> None:
        def try_both(exact: Any, fast: Any, *_: Any) -> Any:
            exact.close()
            return fast, EngineReport("openvino", "bf16", 1.0, many_agreement=many_agreement)

        monkeypatch.setattr(engine_choice, "_try_both", try_both)
        close(*open_networks(sam2_package, cache_folder=tmp_path)[:2])

    open_where(None)
    assert not (tmp_path / "sam2").exists()
    open_where(0.5)
    (record,) = (tmp_path / "sam2").iterdir()
    assert json.loads(record.read_bytes())["many_agreement"] == 0.5


@bf16_only
def test_other_machine_code_is_tried_again(
    sam2_package: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = engine_choice._record_path(sam2_package, tmp_path, None)
    monkeypatch.setattr(engine_choice.PROGRAMS["bf16"], "_at_start", "another source")
    assert engine_choice._record_path(sam2_package, tmp_path, None) != record


class Timed:
    """A network that takes its time, which is counted, and says what it is told to."""

    engine = "openvino"

    def __init__(self, precision: str, outputs: list[np.ndarray], seconds: float) -> None:
        self.precision, self.outputs, self.seconds = precision, outputs, seconds
        self.closed = False

    def run(self, inputs: Any) -> tuple[np.ndarray, ...]:
        Timed.clock += self.seconds
        return tuple(self.outputs)

    def close(self) -> None:
        self.closed = True


def choose(monkeypatch: pytest.MonkeyPatch, *, fast_s: float, off: float) -> tuple[str, Any, Any]:
    """What is taken where bf16 takes `fast_s` for 1 s of fp32, and masks are `off` apart."""
    Timed.clock = 0.0
    monkeypatch.setattr(engine_choice.time, "process_time", lambda: Timed.clock)
    masks = np.random.default_rng(0).normal(0, 1, (4, 4, 256, 256)).astype(np.float32)
    exact = engine_choice._Pair(Timed("fp32", [np.zeros(1)] * 3, 1.0), Timed("fp32", [masks], 1.0))
    fast = engine_choice._Pair(
        Timed("bf16", [np.zeros(1)] * 3, fast_s), Timed("bf16", [masks + off], fast_s)
    )
    taken, report = engine_choice._try_both(exact, fast, None)
    assert taken is (fast if report.precision == "bf16" else exact)
    assert [pair.encoder.closed for pair in (exact, fast)].count(True) == 1
    assert not taken.encoder.closed
    return report.precision, report.agreement, report.decode_cpu_s


def test_faster_one_is_taken_where_it_agrees(monkeypatch: pytest.MonkeyPatch) -> None:
    precision, agreement, decode_cpu_s = choose(monkeypatch, fast_s=0.5, off=0.001)
    assert precision == "bf16"
    assert agreement > 0.999
    assert decode_cpu_s == {"fp32": 1.0, "bf16": 0.5}


@pytest.mark.parametrize(("fast_s", "off"), [(0.5, 1.0), (0.99, 0.0), (2.0, 0.0), (0.5, np.nan)])
def test_exact_one_is_kept_where_it_does_not_or_is_no_slower(
    monkeypatch: pytest.MonkeyPatch, fast_s: float, off: float
) -> None:
    assert choose(monkeypatch, fast_s=fast_s, off=off)[0] == "fp32"


@pytest.mark.parametrize("content", ["{", '{"colour": "red"}', '{"engine": "x", "precision": "y"}'])
def test_damaged_record_counts_as_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "record.json").write_text(content)
    assert engine_choice._read_record(tmp_path / "record.json") is None


@pytest.mark.parametrize("off", [0.001, 1.0, 3.0])
def test_many_prompts_are_left_to_the_decoder_where_their_networks_do_not_agree(
    monkeypatch: pytest.MonkeyPatch, off: float
) -> None:
    """As with a kernel of an engine that is wrong for some shapes."""
    masks = np.random.default_rng(0).normal(0, 1, (4, 4, 256, 256)).astype(np.float32)
    asked: list[dict[str, Any]] = []

    class Many:
        def __init__(self, *paths: Any, **settings: Any) -> None:
            asked.append(settings)

        def is_ready(self, *, wait: bool) -> bool:
            assert wait
            return off < 2.0

        def answer(self, embedding: Embedding, prompts: PromptBatch) -> Any:
            scores = np.zeros((4, 4), np.float32)
            for part in prompts.parts(3):
                chosen = list(part.indices)
                yield part, masks[chosen] + np.float32(off), scores[chosen]

        def close(self) -> None:
            asked[0]["closed"] = True

    monkeypatch.setattr(engine_choice, "ManyPrompts", Many)
    precision, report = choose_with_many(monkeypatch, masks)
    assert precision == "bf16"
    folder = Path("cache")  # the machine code is kept there where it can't be beside its source
    settings = {"precision": "bf16", "half": False, "cache_folder": folder}
    assert asked == [{**settings, "closed": True}]
    assert report.computes_many is (off < 0.1)
    assert (report.many_agreement is None) is (off > 2.0)  # there is no machine code


def choose_with_many(
    monkeypatch: pytest.MonkeyPatch, masks: np.ndarray
) -> tuple[str, EngineReport]:
    Timed.clock = 0.0
    monkeypatch.setattr(engine_choice.time, "process_time", lambda: Timed.clock)
    features = [np.zeros((1, 2, 2), np.float32)] * 3
    pairs = [
        engine_choice._Pair(Timed(kind, features, seconds), Timed(kind, [masks], seconds))
        for kind, seconds in (("fp32", 1.0), ("bf16", 0.5))
    ]
    taken, report = engine_choice._try_both(*pairs, (Path("terms"), Path("many")), Path("cache"))
    return taken.encoder.precision, report


@pytest.mark.parametrize(
    ("report", "computes"),
    [
        (EngineReport("openvino", "fp32"), True),
        (EngineReport("openvino", "bf16"), False),  # as asked, not tried
        (EngineReport("openvino", "bf16", 1.0, many_agreement=0.72), False),
        (EngineReport("openvino", "bf16", 1.0, many_agreement=0.999), True),
        (EngineReport("onnxruntime", "fp32"), False),
    ],
)
def test_who_computes_many_prompts(report: EngineReport, computes: bool) -> None:
    assert report.computes_many is computes


@bf16_only
@pytest.mark.parametrize("shape", ["landscape", "portrait", "odd"])
@pytest.mark.parametrize("count", [3, 9])
def test_bf16_masks_agree(
    count: int,
    shape: str,
    sam2_package: Any,
    exact: InteractiveSegmenter,
    embeddings: Any,
    photos: Any,
) -> None:
    from atrous.domain.prompts import Point, Prompt

    segmenter = InteractiveSegmenter(sam2_package, precision="bf16")
    assert segmenter.precision == "bf16"
    assert segmenter._many is None  # not tried, as nothing else is where a precision is named
    if count >= LEAST_PROMPTS:
        cores = CoreBudget()
        segmenter._many = ManyPrompts(sam2_package.for_many, 2, cores, precision="bf16", half=True)
        assert segmenter._many.is_ready(wait=True)
    size = embeddings[shape].photo_size
    places = [(x, y) for x in (0.2, 0.5, 0.8) for y in (0.2, 0.45, 0.7)]
    prompts = [
        Prompt(points=(Point(x * size.width, y * size.height, positive=True),))
        for x, y in places[:count]
    ]
    agreement = [
        np.mean((one.low_res_logits > 0) == (other.low_res_logits > 0))
        for one, other in zip(
            exact.segment(embeddings[shape], prompts, multimask=True),
            segmenter.segment(segmenter.embed(photos[shape]), prompts, multimask=True),
            strict=True,
        )
    ]
    segmenter.close()
    assert min(agreement) > 0.99
