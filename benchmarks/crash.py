"""Kill the server and the worker at random moments, and see that nothing acknowledged is lost.

python benchmarks/crash.py                     50 kills, within 15 minutes
python benchmarks/crash.py --kills 5 --seed 3  a few; a seed gives the same plan of kills

It needs `atrous[train]` and Linux. benchmarks/README.md says what is checked.
"""

import argparse
import collections
import json
import random
import shutil
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from crashing.client import Client
from crashing.ledger import Ledger
from crashing.site import Site
from crashing.verification import Verification, unfinished_files
from crashing.workload import Workload, make_projects
from serving.machine import machine_facts

from atrous.store import Store, open_store
from atrous.store.jobs import MAX_ATTEMPTS, Job

HERE = Path(__file__).parent
FINISH_LIMIT_S = 600.0
MINUTES = 12.0  # for all kills; what was begun then comes to its end
AIM_LIMIT_S = 45.0  # a kill whose aim does not come up takes that of a later one
RESTART_S = 4.0  # from a kill until the server answers again, about
POLL_S = 0.05
# What runs when the kill comes, and for how many seconds after it began the kill may be drawn.
AIMS = {
    "uploads": 3.0,
    "generate": 2.0,
    "export": 1.5,
    "train-version": 12.0,
    "publishing": 3.0,
    "evaluate": 2.0,
    "add-model": 2.0,
    "import-zip": 1.5,
    "export-search": 1.0,
}
AIMS_OF_TRAININGS = ("train-version", "publishing", "evaluate", "add-model")
TARGETS_OF_UPLOADS = ("server", "server", "both")
TARGETS_OF_JOBS = ("worker", "worker", "both", "child", "server")


@dataclass(frozen=True)
class Kill:
    """One kill: what was aimed at, what died, and what ran just before."""

    aim: str
    is_met: bool  # whether what was aimed at ran
    target: str
    running: str
    unfinished: int  # files left behind, all kills together
    problems: tuple[str, ...]


def main() -> None:
    """Run the plan, print a line per kill and a verdict, write JSON."""
    options = read_options()
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(10**6)
    work = Path(tempfile.mkdtemp(prefix="atrous-crash-"))
    print(f"seed {seed}, {options.kills} kills, in {work}", flush=True)
    start = time.monotonic()
    result = run(
        work / "home", options.kills, seed, photos=options.photos, limit_s=options.minutes * 60.0
    )
    result["wall_s"] = round(time.monotonic() - start)
    result["machine"] = machine_facts()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result["acknowledged"]), flush=True)
    if result["problems"]:
        print("FAILED:", *result["problems"], f"(all is kept in {work})", sep="\n  ")
        sys.exit(1)
    shutil.rmtree(work)
    print(
        f"PASSED: {len(result['kills'])} kills, nothing acknowledged lost, nothing half published"
    )


def read_options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, help="of the plan of kills; drawn where not given")
    parser.add_argument("--photos", type=int, default=8, help="that a model is trained on")
    parser.add_argument(
        "--minutes", type=float, default=MINUTES, help="for all kills: aims are waited for so long"
    )
    parser.add_argument("--out", type=Path, default=HERE / "results" / "crash.json")
    return parser.parse_args()


def run(
    home: Path, kills: int, seed: int, *, photos: int, limit_s: float, trains: bool = True
) -> dict[str, Any]:
    """Kill so often, then let the jobs come to their end and look at everything."""
    aims = [aim for aim in AIMS if trains or aim not in AIMS_OF_TRAININGS]
    draw, ledger, end = random.Random(seed), Ledger(), time.monotonic() + limit_s
    with Site(home) as site, open_store(home) as store:
        workload = Workload(site.url, site.key, ledger, seed, pause_s=0.4, trains=trains)
        client = Client(site.url, site.key, workload.enough)
        make_projects(client, ledger, photos)
        client.close()
        verification = Verification(site.url, site.key, store, ledger)
        workload.start()
        try:
            done: list[Kill] = []
            plan = _plan(aims, kills, draw)
            while plan:
                patience_s = (end - time.monotonic()) / len(plan) - RESTART_S
                done.append(_kill(site, store, verification, plan, patience_s, draw))
            workload.finish(FINISH_LIMIT_S)
            ending = verification.at_the_end()
        finally:
            workload.stop()
            verification.close()
        ending += [f"job {job.kind} is {job.state}" for job in _open_jobs(store, FINISH_LIMIT_S)]
    ending += _swept(home)
    return {
        "seed": seed,
        "kills": [asdict(kill) for kill in done],
        "by_aim": collections.Counter(kill.aim for kill in done if kill.is_met),
        "without_aim": sum(not kill.is_met for kill in done),
        "by_target": collections.Counter(kill.target for kill in done),
        "acknowledged": ledger.counts(),
        "given_up": ledger.given_up,
        "problems": [*ledger.problems, *(text for kill in done for text in kill.problems), *ending],
    }


def _plan(aims: list[str], kills: int, draw: random.Random) -> list[str]:
    """What to aim at, each thing as often as the others, in an order drawn by chance."""
    rounds = -(-kills // len(aims))
    plan = [aim for _ in range(rounds) for aim in draw.sample(aims, len(aims))]
    return plan[:kills]


def _kill(
    site: Site,
    store: Store,
    verification: Verification,
    plan: list[str],
    patience_s: float,
    draw: random.Random,
) -> Kill:
    """Make one kill, and take its aim off the plan."""
    aim, is_met = _take_aim(store, plan, min(patience_s, AIM_LIMIT_S))
    target = draw.choice(TARGETS_OF_UPLOADS if aim == "uploads" else TARGETS_OF_JOBS)
    time.sleep(draw.uniform(0.0, min(AIMS[aim], max(patience_s, 0.0))))
    if _has_died_twice(store):
        target = "server"  # a third death would fail the job, by design
    running = ", ".join(_running(store)) or "nothing"
    site.kill(target)
    site.revive()
    problems = tuple(verification.after_a_crash())
    left = len(unfinished_files(site.home))
    print(f"{aim:13} -> {target:6} (ran: {running}), {left} unfinished", flush=True)
    for problem in problems:
        print(f"     {problem}", flush=True)
    return Kill(aim, is_met, target, running, left, problems)


def _take_aim(store: Store, plan: list[str], patience_s: float) -> tuple[str, bool]:
    """Wait for the plan's first aim; without it take one that runs now, else go without."""
    give_up = time.monotonic() + patience_s
    while not (up := _is_up(store, plan[0])) and time.monotonic() < give_up:
        time.sleep(POLL_S)
    if up:
        return plan.pop(0), True
    for place, aim in enumerate(plan):
        if _is_up(store, aim):
            return plan.pop(place), True
    return plan.pop(0), False


def _is_up(store: Store, aim: str) -> bool:
    """Whether what is aimed at is going on; uploads always are."""
    if aim == "uploads":
        return True
    if aim == "publishing":
        return any(store.home.runs.glob("*/*/.export-*"))
    return any(job.kind == aim for job in store.jobs.list(state="running"))


def _running(store: Store) -> list[str]:
    return [
        f"{job.kind} {job.progress.get('stage', '')}".strip()
        for job in store.jobs.list(state="running")
    ]


def _has_died_twice(store: Store) -> bool:
    return any(job.attempts >= MAX_ATTEMPTS - 1 for job in store.jobs.list(state="running"))


def _open_jobs(store: Store, limit_s: float) -> list[Job]:
    """The jobs that wait or run, when they had so long to come to an end."""
    give_up = time.monotonic() + limit_s
    while True:
        found = [*store.jobs.list(state="queued"), *store.jobs.list(state="running")]
        if not found or time.monotonic() > give_up:
            return found
        time.sleep(POLL_S)


def _swept(home: Path) -> list[str]:
    """With all processes ended, leftovers go, and with them nothing that a row names."""
    with open_store(home) as store:
        removed = store.leftovers.remove(grace_s=0.0)
        print(f"{removed.blobs} blobs without a row and {len(removed.files)} other files swept")
        lost = store.leftovers.named_blobs() - {digest for digest, *_ in store.blobs.stored()}
    return [
        *(f"{digest} was swept away" for digest in sorted(lost)),
        *(f"{path} was left behind" for path in unfinished_files(home)),
    ]


if __name__ == "__main__":
    main()
