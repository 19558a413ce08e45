"""Measure the bars of reliability against a real server on this machine.

python benchmarks/reliability.py          everything, about 10 minutes; leave the machine alone
python benchmarks/reliability.py --quick  each part for some seconds, about a minute

It needs `atrous[train]` and Linux. benchmarks/README.md says what the bars mean.
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from reliability_bars.bars import (
    Bar,
    bars_of_levels,
    bars_of_overload,
    bars_of_soak,
    bars_of_termination,
)
from reliability_bars.loaded_server import ensure_package, loaded_server
from reliability_bars.overload import measure_levels, measure_overload
from reliability_bars.soak import BACKBONE, CLASSES, SIDE, SoakResult, soak
from reliability_bars.termination import measure_termination
from rich.console import Console
from rich.table import Table
from serving.machine import machine_facts
from serving.server_process import ServerFailed, publish

HERE = Path(__file__).parent
LEAKING_SERVER = (sys.executable, str(HERE / "reliability_bars" / "leaking_server.py"), "serve")
COLOURS = {"hit": "green", "missed": "red"}
LEAST_REQUESTS = 10_000  # of a soak: over fewer the slope says little


@dataclass(frozen=True)
class Plan:
    """How long to measure."""

    clients: tuple[int, ...] = (1, 4, 16, 64)
    turns: int = 2
    level_s: float = 7.0  # of each number of clients and turn
    capacity_s: float = 12.0
    overload_s: float = 150.0
    termination_s: float = 16.0
    soak_s: float = 120.0  # each, the product and the control
    soak_requests: int = 60_000  # at most


QUICK = Plan(
    clients=(1, 4, 16),
    turns=1,
    level_s=2.0,
    capacity_s=3.0,
    overload_s=12.0,
    termination_s=6.0,
    soak_s=14.0,
)


@dataclass
class Figures:
    """All that was measured, as JSON values, and the bars."""

    bars: list[tuple[str, Bar]] = field(default_factory=list)
    measured: dict[str, Any] = field(default_factory=dict)

    def add(self, part: str, bars: Sequence[Bar], measured: dict[str, Any]) -> None:
        """Keep what a part gave."""
        self.bars += [(part, bar) for bar in bars]
        self.measured[part] = measured


def main() -> None:
    """Measure what was asked for, print a table, write JSON; exit 1 where a bar is missed."""
    options = read_options()
    plan = QUICK if options.quick else Plan()
    console = Console(width=max(Console().width, 120))
    work = (options.work or Path(tempfile.mkdtemp(prefix="atrous-reliability-"))).absolute()
    begun = time.perf_counter()

    def say(text: str) -> None:
        console.print(f"[dim]{time.perf_counter() - begun:5.0f} s  {text}[/dim]", highlight=False)

    machine = machine_facts()
    say(f"packages, photos and logs in {work}")
    figures = Figures()
    for part, measure in MEASURE.items():
        if part not in options.part:
            continue
        try:
            measure(work, plan, figures, say)
        except (RuntimeError, ServerFailed, ValueError) as error:  # the other part is worth having
            say(f"{part} ended early: {error}")
            figures.add(part, [Bar("measured to its end", "yes", str(error), "missed")], {})
    console.print(table_of(figures.bars))
    missed = [bar.name for _, bar in figures.bars if bar.verdict == "missed"]
    write_json(options.out, options.quick, machine, time.perf_counter() - begun, figures)
    console.print(f"written to {options.out}", highlight=False)
    if missed:
        console.print(f"{len(missed)} of {len(figures.bars)} bars missed", style="red")
        sys.exit(1)


def read_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--quick", action="store_true", help="each part for some seconds: tries it, proves little")
    add(
        "--part",
        action="append",
        choices=MEASURE,
        help="measure this part alone: load (clients by number, three times the capacity, "
        "SIGTERM), or soak (memory over many requests, and its control)",
    )
    add("--work", type=Path, help="folder for packages, photos and logs, to be used again")
    add("--out", type=Path, default=HERE / "results" / "reliability.json", help="where JSON goes")
    options = parser.parse_args()
    options.part = options.part or list(MEASURE)
    return options


def measure_load(work: Path, plan: Plan, figures: Figures, say: Callable[[str], None]) -> None:
    """One server: clients by number, then overload, then SIGTERM under load."""
    say("making the package, once")
    package = ensure_package(work / "packages" / "load")
    shutil.rmtree(work / "home", ignore_errors=True)
    say("starting the server; each photo while it is idle")
    with loaded_server(work, package) as loaded:
        say(f"{', '.join(map(str, plan.clients))} clients, {plan.turns} turns")
        levels = measure_levels(loaded, plan.clients, plan.turns, plan.level_s)
        figures.add("clients", bars_of_levels(levels), {"levels": [asdict(one) for one in levels]})
        most = max(levels, key=lambda level: level.mean)
        say(f"three times {most.mean:.1f} requests per second, for {plan.overload_s:.0f} s")
        result = measure_overload(loaded, plan.overload_s, most.clients, plan.capacity_s)
        ratios = {"capacity": result.capacity, "bound_ms": result.bound_ms}
        figures.add("3 x capacity", bars_of_overload(result), {**asdict(result), **ratios})
        say(f"SIGTERM at twice the capacity, {plan.termination_s:.0f} s")
        ending = measure_termination(loaded, result.capacity, plan.termination_s)
        figures.add("SIGTERM", bars_of_termination(ending), asdict(ending))


def measure_soak(work: Path, plan: Plan, figures: Figures, say: Callable[[str], None]) -> None:
    """The same traffic to the product and to a server that leaks."""
    say("making the small package, once")
    package = ensure_package(work / "packages" / "soak", BACKBONE, CLASSES, SIDE)
    home = work / "soak-home"
    shutil.rmtree(home, ignore_errors=True)
    published = publish(home, "soak", package)
    log, seconds, most = work / "soak.log", plan.soak_s, plan.soak_requests
    say(f"requests of every kind, for {seconds:.0f} s")
    product = soak(published, log, seconds, most)
    say(f"the same with a leak: {product.requests} requests, or {seconds:.0f} s")
    control = soak(published, log, seconds, product.requests, LEAKING_SERVER)
    note_few(product, say)
    bars = bars_of_soak(product, control)
    figures.add("soak", bars, {"product": asdict(product), "control": asdict(control)})


def note_few(product: SoakResult, say: Callable[[str], None]) -> None:
    """Say so where a slope is over too few requests to mean much."""
    if product.growth.requests < LEAST_REQUESTS:
        say(f"the line is over {product.growth.requests} requests only: it is no measurement")


def table_of(bars: Sequence[tuple[str, Bar]]) -> Table:
    """The bars, as a table."""
    table = Table(title="Bars", title_justify="left")
    for column in ("part", "bar", "wanted", "measured", ""):
        table.add_column(column, overflow="fold")
    last = ""
    for part, bar in bars:
        verdict = f"[{COLOURS[bar.verdict]}]{bar.verdict}[/]"
        table.add_row(part if part != last else "", bar.name, bar.wanted, bar.measured, verdict)
        last = part
    return table


def write_json(
    path: Path, quick: bool, machine: dict[str, Any], seconds: float, figures: Figures
) -> None:
    """Keep every figure."""
    content = {
        "machine": machine,
        "command": " ".join(sys.argv[1:]),
        "quick": quick,
        "wall_s": round(seconds),
        "bars": [{"part": part, **asdict(bar)} for part, bar in figures.bars],
        "measured": figures.measured,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n")


MEASURE = {"load": measure_load, "soak": measure_soak}

if __name__ == "__main__":
    main()
