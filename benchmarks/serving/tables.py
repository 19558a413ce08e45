"""The figures as tables for people."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from serving.alternation import CaseResult, Side
from serving.model_run import ModelResult
from serving.targets import Target

STAGES = ("decode", "preprocess", "network", "postprocess", "encode", "http")
COLOURS = {"hit": "green", "missed": "red", "not measured": "yellow"}


def print_tables(
    console: Console, results: Sequence[ModelResult], targets: Sequence[Target]
) -> None:
    """Print everything that was measured, the goals last."""
    for table in (
        case_table(results),
        stage_table(results),
        load_table(results),
        model_table(results),
        target_table(targets),
    ):
        console.print(table)
    for result in results:
        for case in result.cases:
            if case.note:
                console.print(f"{case.name}: {case.note}", highlight=False)


def case_table(results: Sequence[ModelResult]) -> Table:
    """Times end to end, and ratios."""
    table = _table(
        "From a photo to its answer, ms (median, 95th percentile)",
        [
            "case",
            "server",
            "peer",
            "ratio",
            "in process",
            "peer",
            "ratio",
            "peer's server",
            "ratio",
            "MiB",
            "peer",
        ],
    )
    for case in _cases(results):
        in_process = sum(case.segmenter.stages_ms.values())
        table.add_row(
            case.name,
            _spread(case.server),
            _spread(case.peer),
            _times(case.ratio),
            f"{in_process:.1f}",
            _number(_without_encoding_ms(case.peer), 1),
            _times(case.ratio_in_process),
            _spread(case.peer_server),
            _times(case.ratio_of_servers),
            _number(case.server.peak_mib, 0),
            _number(case.peer.peak_mib if case.peer else None, 0),
        )
    return table


def stage_table(results: Sequence[ModelResult]) -> Table:
    """Where the time goes, on both sides."""
    table = _table("Stages, ms", ["case", "side", *STAGES, "other", "around the network"])
    for case in _cases(results):
        sides: list[tuple[str, Side | None]] = [("server", case.server), ("peer", case.peer)]
        for name, side in sides:
            if side is None:
                continue
            stages = side.stages_ms
            other = sum(value for stage, value in stages.items() if stage not in STAGES)
            around = sum(stages.values()) - stages.get("network", 0)
            table.add_row(
                case.name if name == "server" else "",
                name,
                *(_number(stages.get(stage), 1) for stage in STAGES),
                _number(other or None, 1),
                _number(case.around_network_ms if name == "server" else around, 1),
            )
    return table


def load_table(results: Sequence[ModelResult]) -> Table:
    """Throughput by number of clients, and overload."""
    table = _table(
        "Answers per second by clients; then at twice the capacity",
        [
            *("model", "side", "clients", "per second", "times one", "in pairs"),
            *("median ms", "95th percentile ms", "MiB"),
        ],
    )
    for result in results:
        for level in result.throughput:
            for side in ("server", "peer"):
                if figures := level[side]:
                    own = side == "server"
                    table.add_row(
                        result.model,
                        side,
                        str(level["clients"]),
                        _number(figures["per_second"], 2),
                        _number(level["times_one"] if own else None, 2),
                        _range(level["pairs"]) if own else "",
                        _number(figures["median_ms"], 0),
                        _number(figures["p95_ms"], 0),
                        _number(level["peak_mib"] if own else None, 0),
                    )
        if over := result.overload:
            table.add_row(
                result.model,
                "server",
                f"{over['rate']:.1f} per second",
                f"{over['refused_share']:.0%} refused, {over['other']} failed",
                "",
                "",
                _number(over["p50_ms"], 0),
                f"99th: {_number(over['p99_ms'], 0)} of {over['bound_ms']:.0f}",
            )
    return table


def model_table(results: Sequence[ModelResult]) -> Table:
    """Start-up, agreement and distance to the limit."""
    table = _table(
        "Models",
        [
            "model",
            "engine",
            "start s",
            "cached s",
            "peer s",
            "fp32: equal pixels",
            "GFLOP/s",
            "convolutions",
            "times the limit",
        ],
    )
    for result in results:
        peer = result.start_up.get("peer")
        shares = result.agreement.get("shares", {})
        table.add_row(
            result.model,
            f"{result.engine.get('engine')} {result.engine.get('precision')}",
            _number(result.start_up.get("server_uncached_s"), 2),
            _number(result.start_up.get("server_cached_s"), 2),
            _number(peer["import_s"] + peer["load_s"] if peer else None, 2),
            f"{min(shares.values()):.4%}" if shares else "-",
            _number(result.limit.get("network_gflops"), 0),
            _number(result.limit.get("convolution_gflops"), 0),
            _number(result.limit.get("times_the_limit"), 2),
        )
    return table


def target_table(targets: Sequence[Target]) -> Table:
    """Goals and verdicts."""
    table = _table("Goals", ["goal", "wanted", "measured", ""])
    for target in targets:
        colour = COLOURS[target.verdict]
        table.add_row(
            target.name, target.wanted, target.measured, f"[{colour}]{target.verdict}[/{colour}]"
        )
    return table


def _table(title: str, columns: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left")
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index == 0 else "right", no_wrap=index == 0)
    return table


def _cases(results: Sequence[ModelResult]) -> list[CaseResult]:
    return [case for result in results for case in result.cases]


def _without_encoding_ms(side: Side | None) -> float | None:
    if side is None:
        return None
    return sum(value for stage, value in side.stages_ms.items() if stage != "encode")


def _spread(side: Side | None) -> str:
    return f"{side.times.median_ms:.1f}, {side.times.p95_ms:.1f}" if side else "-"


def _times(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} x"


def _range(values: Sequence[float]) -> str:
    return f"{min(values):.2f} to {max(values):.2f}" if values else ""


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
