"""All that is measured of one model: start-up, photos, load, agreement, distance to the limit."""

import json
import os
import shutil
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from atrous.server.settings import ServerSettings
from serving.alternation import (
    CaseResult,
    Running,
    as_runs,
    measure_case,
    peer_memory_problem,
)
from serving.cases import Case, Model
from serving.figures import share_of_equal
from serving.load import (
    Overload,
    Run,
    answers_per_second,
    keep_busy,
    send_at_rate,
    throughput_of,
)
from serving.peer_server import PeerServer
from serving.photos import photo_file
from serving.process_memory import forget_peak, peak_mib, resident_mib
from serving.server_process import Server, publish
from serving.worker_process import Worker

HERE = Path(__file__).parent
OVERLOAD = 2.0  # times the capacity
SPARE_CONNECTIONS = 32  # beyond those that the server lets wait


@dataclass(frozen=True)
class Plan:
    """How long and how much to measure."""

    case_s: float = 10.0  # on one photo, all sides together
    clients: tuple[tuple[int, float], ...] = ((4, 4.0), (16, 5.0), (64, 8.0))  # for how long
    single_s: float = 4.0  # one client, before and after each of these
    client_rounds: int = 7  # of all numbers of clients
    peer_rounds: int = 3  # one of so many of these has the peer, too
    overload_s: float = 25.0  # at most; enough to fill the queue and go on
    capacity_s: float = 5.0  # before it and after it
    convolution_runs: int = 15
    peer_python: str | None = None
    peer_server_python: str | None = None
    photos: tuple[Path, ...] = ()  # real ones, to compare label maps on besides the drawn ones


@dataclass
class ModelResult:
    """What came out for one model; dataclasses and JSON values only."""

    model: str
    backbone: str
    classes: int
    weights: str
    engine: dict[str, Any] = field(default_factory=dict)
    start_up: dict[str, Any] = field(default_factory=dict)
    cases: list[CaseResult] = field(default_factory=list)
    throughput: list[dict[str, Any]] = field(default_factory=list)
    overload: dict[str, Any] = field(default_factory=dict)
    agreement: dict[str, Any] = field(default_factory=dict)
    limit: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """All of it as JSON values."""
        return asdict(self)


def measure_model(
    model: Model, cases: Sequence[Case], work: Path, plan: Plan, say: Callable[[str], None]
) -> ModelResult:
    """Measure one model on its photos. `work` keeps what may be used again, and logs."""
    result = ModelResult(model.name, model.backbone, model.classes, model.weights)
    home = work / "home"
    shutil.rmtree(home, ignore_errors=True)  # so that the first start compiles
    published = publish(home, "benchmark", model.package)
    reference = next((case for case in cases if case.is_reference), None)
    with ExitStack() as stack:
        say(f"{model.name}: start-up")
        with Server(published, work / "server.log") as first:
            result.start_up["server_uncached_s"] = first.seconds_to_ready
        server = stack.enter_context(Server(published, work / "server.log"))
        result.start_up["server_cached_s"] = server.seconds_to_ready
        result.start_up["server_resident_mib"] = resident_mib(server.pid)
        own = stack.enter_context(own_worker(work))
        result.engine = own.ask(
            "load",
            package=str(published.package),
            precision="auto",
            cache_folder=str(home / "cache"),
        )
        peer = None
        if plan.peer_python is not None:
            peer = stack.enter_context(peer_worker(plan.peer_python, work))
            result.start_up["peer"] = peer.ask("load", package=str(model.peer_package))
            result.start_up["peer_resident_mib"] = resident_mib(peer.pid)
        result.cases = measure_cases(cases, work, plan, Running(server, own, peer), say)
        if reference is not None:
            say(f"{model.name}: distance to the limit")
            result.limit = measure_limit(model, own, result, plan)
            if peer is not None and model.weights != "int8":
                say(f"{model.name}: agreement in fp32")
                result.agreement = measure_agreement(model, cases, work, plan, peer)
            own.close()
            photo = photo_file(work / "photos", reference.photo)
            result.throughput = measure_throughput(photo, server, peer, plan, say)
            if peer is not None:
                peer.close()  # it may still be busy with the photos of 64 clients
            say(f"{model.name}: overload")
            result.overload = measure_overload(photo, server, result.throughput, plan)
    return result


def measure_cases(
    cases: Sequence[Case], work: Path, plan: Plan, running: Running, say: Callable[[str], None]
) -> list[CaseResult]:
    """Measure all photos of a model; the peer's server, where there is one, runs meanwhile."""
    with ExitStack() as stack:
        if plan.peer_server_python is not None:
            package = cases[0].model.peer_package
            peer_server = PeerServer(plan.peer_server_python, package, work)
            running = replace(running, peer_server=stack.enter_context(peer_server))
        results = []
        for case in cases:
            say(f"{case.name}: all sides in turn")
            photo = photo_file(work / "photos", case.photo)
            results.append(measure_case(case, photo, running, plan.case_s))
        return results


def own_worker(work: Path) -> Worker:
    """Start our own worker, in this Python."""
    return Worker(sys.executable, HERE / "own_worker.py", work / "own.log")


def peer_worker(python: str, work: Path) -> Worker:
    """Start the peer's worker in its Python, with its switch for working without a network."""
    environment = {**os.environ, "OFFLINE_MODE": "true"}
    return Worker(python, HERE / "peer_worker.py", work / "peer.log", environment)


def measure_throughput(
    photo: Path, server: Server, peer: Worker | None, plan: Plan, say: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Let 1, 4, 16, 64 clients send; both sides and all numbers of clients in turn.

    A single client of ours goes before and after each number of them: that is what they are
    compared with, as the machine's speed changes from minute to minute. At the end the peer may
    still be busy.
    """
    own_turns: dict[int, list[list[Run]]] = defaultdict(list)
    peer_turns: dict[int, list[list[Run]]] = defaultdict(list)
    times_one: dict[int, list[float]] = defaultdict(list)
    peaks: dict[int, list[float]] = defaultdict(list)

    def ask_own(clients: int, seconds: float) -> float:
        say(f"{clients} clients")
        forget_peak(server.pid)
        own_turns[clients].append(keep_busy(lambda: server.connect(photo), clients, seconds))
        peaks[clients].append(peak_mib(server.pid) or 0.0)
        return answers_per_second(own_turns[clients][-1])

    def ask_peer(clients: int, seconds: float, *, finish: bool = True) -> None:
        if peer is not None:
            facts = {"clients": clients, "seconds": seconds, "finish": finish}
            answer = peer.ask("throughput", photo=str(photo), **facts)
            peer_turns[clients].append(as_runs(answer))

    for turn in range(plan.client_rounds):
        has_peer = turn % plan.peer_rounds == 0
        before = ask_own(1, plan.single_s)
        if has_peer:
            ask_peer(1, plan.single_s)
        for clients, seconds in plan.clients:
            rate = ask_own(clients, seconds)
            after = ask_own(1, plan.single_s)
            times_one[clients].append(2 * rate / (before + after))
            before = after
            if has_peer:
                is_last = turn == plan.client_rounds - 1 and clients == plan.clients[-1][0]
                ask_peer(clients, seconds, finish=not is_last)
    return [
        {
            "clients": clients,
            "times_one": float(np.median(times_one.get(clients, [1.0]))),
            "pairs": times_one.get(clients, []),  # of which that is the median
            "peak_mib": max(peaks[clients]) or None,
            "server": asdict(throughput_of(runs, clients)),
            "peer": asdict(throughput_of(peer_turns[clients], clients)) if peer else None,
        }
        for clients, runs in sorted(own_turns.items())
    ]


def measure_overload(
    photo: Path, server: Server, levels: Sequence[Mapping[str, Any]], plan: Plan
) -> dict[str, Any]:
    """Send twice what the server can do, for long enough to fill its queue and go on.

    The capacity is that of the number of clients that got most answers, measured right before
    and right after: what else the machine does for a while hits all three.
    """
    settings = ServerSettings()
    places = settings.http_api_threadpool_workers + settings.max_waiting_requests
    busiest = max(levels, key=lambda level: float(level["server"]["per_second"]))["clients"]

    def capacity() -> float:
        runs = keep_busy(lambda: server.connect(photo), busiest, plan.capacity_s)
        return answers_per_second(runs)

    before = capacity()
    seconds = float(np.clip(3 * places / before, min(8.0, plan.overload_s), plan.overload_s))
    overload: Overload = send_at_rate(
        lambda: server.connect(photo), OVERLOAD * before, seconds, places + SPARE_CONNECTIONS
    )
    rate = (before + capacity()) / 2
    return {
        **asdict(overload),
        "capacity_per_second": rate,
        "places": places,
        "seconds": seconds,
        "bound_ms": 1000 * places / rate,  # of a request that gets the last place
    }


def measure_agreement(
    model: Model, cases: Sequence[Case], work: Path, plan: Plan, peer: Worker
) -> dict[str, Any]:
    """Compare label maps in fp32, on the drawn photos or, where given, on real ones."""
    bearable = [case for case in cases if not peer_memory_problem(case)]
    photos = list(plan.photos) or [photo_file(work / "photos", case.photo) for case in bearable]
    shares = {}
    with own_worker(work) as own:
        loaded = own.ask(
            "load", package=str(model.package), precision="fp32", cache_folder=str(work / "cache")
        )
        for photo in photos:
            maps = []
            for name, worker in (("own", own), ("peer", peer)):
                path = work / f"{name}.npy"
                worker.ask("predict", photo=str(photo), repeats=1, label_map=str(path))
                maps.append(np.load(path))
            shares[photo.name] = share_of_equal(*maps)
    return {"engine": loaded["engine"], "precision": loaded["precision"], "shares": shares}


def measure_limit(model: Model, own: Worker, result: ModelResult, plan: Plan) -> dict[str, Any]:
    """Compare the network's rate with that of large convolutions in its engine and precision."""
    multiply_adds = multiply_adds_of(model.package)
    if multiply_adds is None or model.weights == "int8":
        return {}
    reference = next(case for case in result.cases if case.is_reference)
    network_s = reference.segmenter.stages_ms["network"] / 1000
    convolution = own.ask("convolution", repeats=plan.convolution_runs)
    rate = convolution["multiply_adds"] / float(np.median(convolution["seconds"]))
    return {
        "network_ms": network_s * 1000,
        "multiply_adds": multiply_adds,
        "network_gflops": 2e-9 * multiply_adds / network_s,
        "convolution_gflops": 2e-9 * rate,
        "times_the_limit": network_s / (multiply_adds / rate),
    }


def multiply_adds_of(package: Path) -> int | None:
    """Of one forward pass, by the package's manifest; None for packages made by others."""
    path = package / "manifest.json"
    manifest = json.loads(path.read_text()) if path.exists() else {}
    if "multiply_adds" in manifest:
        return int(manifest["multiply_adds"])
    if "network" not in manifest:
        return None
    from atrous.deeplab.cost import network_cost
    from atrous.deeplab.network import NetworkConfig, network_from
    from atrous.domain.geometry import Size

    config = manifest["network"]
    grid = config.get("multi_grid")
    network = network_from(NetworkConfig(**{**config, "multi_grid": tuple(grid) if grid else None}))
    size = Size(**manifest["recipe"]["preprocess"]["size"])
    return network_cost(network.eval(), size).multiply_adds
