"""One model on one photo: our server, our Segmenter and the peer in turn, again and again."""

import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from serving.cases import Case, photo_name
from serving.figures import Times, median_stages, paired_ratio, runs_per_block, times_of
from serving.load import Client
from serving.peer_server import PeerServer
from serving.process_memory import available_bytes, forget_peak, peak_mib
from serving.server_process import Connection, Server, ServerFailed, mean_stages
from serving.worker_process import Worker

MOST_ALTERNATIONS, FEWEST_ALTERNATIONS = 6, 2
BREAK_S = 0.05  # between two sides: threads of an engine spin for a moment after its last run
PEER_COPIES = 2.2  # of float logits at the photo's size that the peer holds at once


@dataclass(frozen=True)
class Block:
    """The runs of one side in one alternation; stages are empty where a side tells none."""

    seconds: list[float]  # from a photo's file to the encoded answer; ours with HTTP
    stages: dict[str, float]  # seconds of one run


@dataclass(frozen=True)
class Side:
    """What one side reached."""

    times: Times
    stages_ms: dict[str, float]
    peak_mib: float | None


@dataclass(frozen=True)
class CaseResult:
    """What all sides reached on one case. Ratios say how many times faster we are."""

    name: str
    backbone: str
    classes: int
    weights: str
    photo: str
    is_reference: bool
    server: Side  # `atrous serve`, as a client with a kept connection sees it
    segmenter: Side  # ours in process: decode and predict, nothing encoded
    peer: Side | None  # in process; decode, infer, and encode as its own server does
    peer_server: Side | None  # the peer's HTTP server
    around_network_ms: float  # of the server's requests, without its network
    ratio: float | None  # our server with HTTP against the peer with its encoding, without HTTP
    ratio_in_process: float | None  # both in process, both without encoding
    ratio_of_servers: float | None  # both over HTTP
    note: str = ""


@dataclass(frozen=True)
class Running:
    """The processes that are measured; the peer's are None where they were not asked for."""

    server: Server
    own: Worker
    peer: Worker | None = None
    peer_server: PeerServer | None = None


def measure_case(case: Case, photo: Path, running: Running, budget_s: float) -> CaseResult:
    """Measure one case within about `budget_s` seconds; without a peer, our sides alone."""
    note = peer_memory_problem(case)
    with ExitStack() as stack:
        sides, pids = sides_of(running, photo, stack, with_peer=not note)
        for pid in pids.values():
            forget_peak(pid)
        blocks = alternate(sides, budget_s)
    done = {
        name: Side(
            times_of([block.seconds for block in blocks[name]]),
            median_stages([block.stages for block in blocks[name]]),
            peak_mib(pids[name]),
        )
        for name in sides
    }
    return CaseResult(
        name=case.name,
        backbone=case.model.backbone,
        classes=case.model.classes,
        weights=case.model.weights,
        photo=photo_name(case.photo),
        is_reference=case.is_reference,
        server=done["server"],
        segmenter=done["segmenter"],
        peer=done.get("peer"),
        peer_server=done.get("peer server"),
        around_network_ms=around_network_ms(blocks["server"]),
        ratio=ratio_of(blocks, "peer", "server", whole),
        ratio_in_process=ratio_of(blocks, "peer", "segmenter", without_encoding),
        ratio_of_servers=ratio_of(blocks, "peer server", "server", whole),
        note=note,
    )


def sides_of(
    running: Running, photo: Path, stack: ExitStack, *, with_peer: bool
) -> tuple[dict[str, Callable[[int], Block]], dict[str, int]]:
    """What runs in turn, by name, and the process of each; `stack` closes the connections."""
    client = stack.enter_context(closing(running.server.connect(photo)))
    sides: dict[str, Callable[[int], Block]] = {
        "server": lambda runs: run_server(running.server, client, runs),
        "segmenter": lambda runs: run_worker(running.own, photo, runs),
    }
    pids = {"server": running.server.pid, "segmenter": running.own.pid}
    if with_peer and running.peer is not None:
        peer = running.peer
        sides["peer"] = lambda runs: run_worker(peer, photo, runs)
        pids["peer"] = peer.pid
    if with_peer and running.peer_server is not None:
        peer_client = stack.enter_context(closing(running.peer_server.connect(photo)))
        sides["peer server"] = lambda runs: Block(run_posts(peer_client, runs), {})
        pids["peer server"] = running.peer_server.pid
    return sides, pids


def ratio_of(
    blocks: dict[str, list[Block]],
    slower: str,
    faster: str,
    seconds_of: Callable[[Block], list[float]],
) -> float | None:
    """How many times faster one side is than another; None where either was not measured."""
    if slower not in blocks or faster not in blocks:
        return None
    return paired_ratio(
        *([seconds_of(block) for block in blocks[name]] for name in (slower, faster))
    )


def alternate(sides: dict[str, Callable[[int], Block]], budget_s: float) -> dict[str, list[Block]]:
    """Run all sides once to warm up, then in turn until the budget is used.

    The slowest sides get fewer runs per block, and all of them fewer alternations, never less
    than FEWEST_ALTERNATIONS.
    """
    single = {name: float(np.median(run(1).seconds)) for name, run in sides.items()}
    fitting = budget_s / max(sum(single.values()), 1e-6)
    count = int(np.clip(fitting, FEWEST_ALTERNATIONS, MOST_ALTERNATIONS))
    block_s = budget_s / (count * len(sides))
    blocks: dict[str, list[Block]] = {name: [] for name in sides}
    for _ in range(count):
        for name, run in sides.items():
            time.sleep(BREAK_S)
            blocks[name].append(run(runs_per_block(single[name], block_s)))
    return blocks


def run_server(server: Server, client: Connection, runs: int) -> Block:
    """Post a photo some times; the stages are the server's own, HTTP what they leave."""
    before = server.stage_seconds()
    seconds = run_posts(client, runs)
    stages = mean_stages(before, server.stage_seconds())
    return Block(seconds, {**stages, "http": float(np.mean(seconds)) - sum(stages.values())})


def run_posts(client: Client, runs: int) -> list[float]:
    """Seconds of each of some posts; ServerFailed where one is not answered with a mask."""
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        status = client.post()
        seconds.append(time.perf_counter() - start)
        if status != 200:
            raise ServerFailed(f"the server answered {status} to a photo")
    return seconds


def run_worker(worker: Worker, photo: Path, runs: int) -> Block:
    """Let a worker answer a photo some times."""
    stages: dict[str, list[float]] = worker.ask("predict", photo=str(photo), repeats=runs)["stages"]
    return Block(
        [sum(run) for run in zip(*stages.values(), strict=True)],
        {name: float(np.median(values)) for name, values in stages.items()},
    )


def whole(block: Block) -> list[float]:
    """Seconds of each run."""
    return block.seconds


def without_encoding(block: Block) -> list[float]:
    """Seconds from a photo's file to a label map in memory, of the median run."""
    return [sum(seconds for stage, seconds in block.stages.items() if stage != "encode")]


def around_network_ms(blocks: list[Block]) -> float:
    """The mean request without its network, in the median block: what we add to the engine's time.

    Means, as the server tells no more than its network's mean.
    """
    return 1000 * float(
        np.median([np.mean(block.seconds) - block.stages["network"] for block in blocks])
    )


def peer_memory_problem(case: Case) -> str:
    """Say why the peer must not get this photo: it holds all classes at the photo's size."""
    needed = PEER_COPIES * 4 * case.model.classes * case.photo.area
    available = available_bytes()
    if available is None or needed < available:
        return ""
    return (
        f"the peer was not measured: it needs about {needed / 2**30:.0f} GiB for this photo and "
        f"{available / 2**30:.0f} GiB are free"
    )


def as_runs(answer: dict[str, Any]) -> list[tuple[float, float]]:
    """The runs of a worker's throughput, as `load` has them."""
    return [(begin, end) for begin, end in answer["runs"]]
