"""What was set as a bar, and whether the figures reach it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from serving.targets import OVERLOAD_SPARE

from reliability_bars.overload import Level, OverloadResult
from reliability_bars.soak import SoakResult
from reliability_bars.termination import TerminationResult

Verdict = Literal["hit", "missed"]
LEAST_GOODPUT = 0.9  # of the capacity
AT_ONCE_MS = 500.0  # within which a refusal comes, on a machine whose cores are all busy
MOST_GROWTH = 1.0  # MB per 10,000 requests


@dataclass(frozen=True)
class Bar:
    """One bar, with the figure that it is judged by."""

    name: str
    wanted: str
    measured: str
    verdict: Verdict


def bars_of_levels(levels: Sequence[Level]) -> list[Bar]:
    """More clients never get less than one gets alone."""
    alone = levels[0].mean
    worst = min(levels[1:], key=lambda level: level.mean)
    return [
        at_least(
            f"rate at {', '.join(str(level.clients) for level in levels[1:])} clients over 1's, "
            f"the worst ({worst.clients})",
            1.0,
            worst.mean / alone,
        ),
        none("their answers that are not the idle server's", sum(one.failures for one in levels)),
    ]


def bars_of_overload(result: OverloadResult) -> list[Bar]:
    """Three times the capacity."""
    load = result.load
    p99_ms = load.p99_ms if load.p99_ms is not None else float("inf")
    refused_ms = result.refused_p99_ms if result.refused_p99_ms is not None else float("inf")
    return [
        at_least("goodput over capacity", LEAST_GOODPUT, result.goodput / result.capacity),
        at_most(
            "p99 of accepted over the last place's wait", OVERLOAD_SPARE, p99_ms / result.bound_ms
        ),
        at_most("p99 of refusals (429 + Retry-After), ms", AT_ONCE_MS, refused_ms),
        none("masks that are not the idle server's", result.wrong_masks),
        none("neither a right mask nor a right refusal", result.failures),
        none("places and bytes held afterwards", sum(result.still_held.values())),
    ]


def bars_of_soak(product: SoakResult, control: SoakResult) -> list[Bar]:
    """Memory over many requests; the control has to miss what the product has to hit."""
    leak = control.growth.mb_per_10000
    return [
        at_most("memory, MB per 10,000 requests", MOST_GROWTH, product.growth.mb_per_10000),
        at_least("the same with a leak (the control must exceed it)", MOST_GROWTH, leak),
        none("answers of another status than the right one", sum(product.failures.values())),
    ]


def bars_of_termination(result: TerminationResult) -> list[Bar]:
    """SIGTERM under load."""
    return [
        none("accepted requests that failed", result.accepted_failed),
        none("later requests told nothing", result.late_failed),
        none("exit status", result.exit_status),
        at_most("seconds from SIGTERM to the end", result.limit_s, result.seconds),
    ]


def at_least(name: str, wanted: float, figure: float) -> Bar:
    """A bar that the figure must reach."""
    return Bar(name, f"at least {wanted:g}", f"{figure:.3g}", _verdict(figure >= wanted))


def at_most(name: str, wanted: float, figure: float) -> Bar:
    """A bar that the figure must not exceed."""
    return Bar(name, f"at most {wanted:g}", f"{figure:.3g}", _verdict(figure <= wanted))


def none(name: str, figure: float) -> Bar:
    """A bar that only 0 reaches."""
    return Bar(name, "0", f"{figure:g}", _verdict(figure == 0))


def _verdict(reached: bool) -> Verdict:
    return "hit" if reached else "missed"
