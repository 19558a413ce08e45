"""All that is measured of one model: start-up, photos, load, agreement, distance to the limit."""

import json
import os
import shutil
import sys
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
from serving.load import Overload, Throughput, keep_busy, send_at_rate, throughput_of
from serving.peer_server import PeerServer
from serving.photos import photo_file
from serving.process_memory import resident_mib
from serving.server_process import Server, publish
from serving.worker_process import Worker

HERE = Path(__file__).parent
OVERLOAD = 2.0  # times the capacity
SPARE_CONNECTIONS = 32  # beyond those that the server lets wait


@dataclass(frozen=True)
class Plan:
    """How long and how much to measure."""

    case_s: float = 10.0  # on one photo, all sides together
    clients: tuple[tuple[int, int, float], ...] = (  # how many, in how many turns, for how long
        (1, 2, 3.0),
        (4, 1, 4.0),
        (16, 2, 5.0),
        (64, 1, 8.0),
    )
    overload_s: float = 25.0  # at most; enough to fill the queue and go on
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
    """Let 1, 4, 16, 64 clients send; both sides in turn. At the end the peer may still be busy."""
    levels = []
    for clients, turns, seconds in plan.clients:
        say(f"{clients} clients")
        is_last = clients == plan.clients[-1][0]
        own_turns, peer_turns = [], []
        for turn in range(turns):
            own_turns.append(keep_busy(lambda: server.connect(photo), clients, seconds))
            if peer is not None:
                finish = not is_last or turn + 1 < turns
                answer = peer.ask(
                    "throughput", photo=str(photo), clients=clients, seconds=seconds, finish=finish
                )
                peer_turns.append(as_runs(answer))
        level: dict[str, Throughput | None] = {
            "server": throughput_of(own_turns, clients),
            "peer": throughput_of(peer_turns, clients) if peer_turns else None,
        }
        levels.append(
            {"clients": clients}
            | {side: asdict(value) if value else None for side, value in level.items()}
        )
    return levels


def measure_overload(
    photo: Path, server: Server, levels: Sequence[Mapping[str, Any]], plan: Plan
) -> dict[str, Any]:
    """Send twice what the server can do, for long enough to fill its queue and go on."""
    settings = ServerSettings()
    places = settings.http_api_threadpool_workers + settings.max_waiting_requests
    capacity = max(level["server"]["per_second"] for level in levels)
    seconds = float(np.clip(3 * places / capacity, min(8.0, plan.overload_s), plan.overload_s))
    overload: Overload = send_at_rate(
        lambda: server.connect(photo), OVERLOAD * capacity, seconds, places + SPARE_CONNECTIONS
    )
    return {
        **asdict(overload),
        "capacity_per_second": capacity,
        "places": places,
        "seconds": seconds,
        "bound_ms": 1000 * places / capacity,  # of a request that gets the last place
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
