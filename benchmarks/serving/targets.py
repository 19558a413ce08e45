"""What was set as a goal, and whether the figures reach it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from serving.alternation import CaseResult
from serving.cases import REFERENCE_CLASSES
from serving.model_run import ModelResult

Verdict = Literal["hit", "missed", "not measured"]
OVERLOAD_SPARE = 1.25  # times the wait for the last place in the queue


@dataclass(frozen=True)
class Target:
    """One goal, with the figure that it is judged by."""

    name: str
    wanted: str
    measured: str
    verdict: Verdict


def judge(results: Sequence[ModelResult], quality: dict[str, Any]) -> list[Target]:
    """Judge all goals. Where several models count for one, the worst is taken.

    quality: mIoU by "fp32", "bf16" and "int8", as far as they were measured.
    """
    float_models = [result for result in results if result.weights != "int8"]
    trained = [result for result in results if result.weights == "trained"]
    int8 = [r for r in results if r.weights == "int8" and r.backbone == "resnet50"]
    usual = [result for result in float_models if result.classes == REFERENCE_CLASSES]
    mobile = [result for result in usual if result.backbone == "mobilenetv2_100"]
    resnet = [result for result in usual if result.backbone == "resnet50"]
    return [
        at_least("end to end against the peer, MobileNetV2", 5.0, ratios(mobile), "x"),
        at_least("end to end against the peer, ResNet-50", 2.5, ratios(resnet), "x"),
        at_least("the same, our int8 package", 4.0, ratios(int8), "x"),
        at_most("int8: mIoU lost, in points", 1.0, points_lost(quality, "int8"), ""),
        at_most("around the network, 21 classes", 20.0, around(usual), "ms"),
        at_least("fp32: pixels equal, trained weights", 99.99, equal_pixels(trained), "%"),
        at_most("bf16 against fp32: mIoU apart, in points", 0.1, points_apart(quality), ""),
        at_least("16 clients against 1", 1.0, scaling(results, (16,)), "x"),
        at_least("the least of 4, 16 and 64 clients against 1", 1.0, scaling(results), "x"),
        at_least("16 clients against the peer's 16", 3.0, against_peer(results), "x"),
        at_most("memory of the server, ResNet-50", 500.0, memory(resnet), "MiB"),
        at_most("start-up, compiled before", 3.0, start_up(results), "s"),
        at_most("network over the machine's limit, ResNet-50", 1.3, limits(resnet), "x"),
        at_most(
            "overload: p99 over the wait for the last place", OVERLOAD_SPARE, overload(results), "x"
        ),
        at_most("overload: neither answered nor refused", 0, failures(results), "requests"),
    ]


def at_least(name: str, wanted: float, values: Iterable[float | None], unit: str) -> Target:
    """A goal that the smallest figure must reach."""
    return _target(name, wanted, values, unit, min, "at least")


def at_most(name: str, wanted: float, values: Iterable[float | None], unit: str) -> Target:
    """A goal that the largest figure must not exceed."""
    return _target(name, wanted, values, unit, max, "at most")


def ratios(results: Sequence[ModelResult]) -> list[float | None]:
    """How many times faster than the peer, on the reference cases."""
    return [case.ratio for case in reference_cases(results)]


def around(results: Sequence[ModelResult]) -> list[float | None]:
    """Milliseconds that we add to the network, on the reference cases."""
    return [case.around_network_ms for case in reference_cases(results)]


def equal_pixels(results: Sequence[ModelResult]) -> list[float | None]:
    """Percent of pixels that both sides give the same class, per photo."""
    return [
        100 * share for result in results for share in result.agreement.get("shares", {}).values()
    ]


def points_lost(quality: dict[str, Any], precision: str) -> list[float | None]:
    """Points of mIoU that a precision has less than fp32."""
    if "fp32" not in quality or precision not in quality:
        return []
    return [100 * (quality["fp32"]["miou"] - quality[precision]["miou"])]


def points_apart(quality: dict[str, Any]) -> list[float | None]:
    """Points of mIoU between bf16 and fp32, in either direction."""
    return [abs(points) for points in points_lost(quality, "bf16") if points is not None]


def scaling(
    results: Sequence[ModelResult], clients: Sequence[int] = (4, 16, 64)
) -> list[float | None]:
    """Our rates at these numbers of clients over that at 1 right before and after."""
    return [
        level["times_one"]
        for result in results
        for level in result.throughput
        if level["clients"] in clients
    ]


def against_peer(results: Sequence[ModelResult]) -> list[float | None]:
    """Our rate at 16 clients over the peer's."""
    return [_quotient(rate(result, 16, "server"), rate(result, 16, "peer")) for result in results]


def memory(results: Sequence[ModelResult]) -> list[float | None]:
    """Most memory of the server, during a reference case and with many clients."""
    peaks = [case.server.peak_mib for case in reference_cases(results)]
    return peaks + [level["peak_mib"] for result in results for level in result.throughput]


def start_up(results: Sequence[ModelResult]) -> list[float | None]:
    """Seconds from starting the process to its being ready."""
    return [result.start_up.get("server_cached_s") for result in results]


def limits(results: Sequence[ModelResult]) -> list[float | None]:
    """How many times longer the network takes than large convolutions of as many products."""
    return [result.limit.get("times_the_limit") for result in results]


def overload(results: Sequence[ModelResult]) -> list[float | None]:
    """The 99th percentile under overload, over what the length of the queue allows.

    Only where the queue was full for a while: before that, times are short whatever its bound.
    """
    return [
        _quotient(result.overload["p99_ms"], result.overload["bound_ms"])
        for result in results
        if result.overload.get("refused_share")
    ]


def failures(results: Sequence[ModelResult]) -> list[float | None]:
    """Requests under overload that got neither a mask nor a 429."""
    return [result.overload.get("other") for result in results]


def rate(result: ModelResult, clients: int, side: str) -> float | None:
    """Answers per second of one side with so many clients."""
    for level in result.throughput:
        if level["clients"] == clients and level[side]:
            value: float = level[side]["per_second"]
            return value
    return None


def reference_cases(results: Sequence[ModelResult]) -> list[CaseResult]:
    """The cases that goals are about."""
    return [case for result in results for case in result.cases if case.is_reference]


def _quotient(value: float | None, unit: float | None) -> float | None:
    return value / unit if value is not None and unit else None


def _target(
    name: str,
    wanted: float,
    values: Iterable[float | None],
    unit: str,
    worst: Callable[[list[float]], float],
    word: str,
) -> Target:
    known = [value for value in values if value is not None]
    limit = f"{word} {wanted:g} {unit}".rstrip()
    if not known:
        return Target(name, limit, "-", "not measured")
    figure = worst(known)
    reached = figure >= wanted if worst is min else figure <= wanted
    digits = 3 if unit == "%" else 2
    return Target(
        name, limit, f"{figure:.{digits}f} {unit}".rstrip(), "hit" if reached else "missed"
    )
