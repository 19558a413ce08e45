"""`atrous worker`: the process that does what was queued."""

import logging
import os
import signal
import threading
from typing import Annotated, Literal

import typer

PARENT_POLL_S = 1.0


def worker_command(
    only: Annotated[
        Literal["data"] | None, typer.Option(help="data: leave trainings to other workers.")
    ] = None,
    parent: Annotated[
        int | None, typer.Option(hidden=True, help="End when this process is no more the parent.")
    ] = None,
) -> None:
    """Run queued jobs (trainings, versions, exports), one by one, until SIGTERM or Ctrl-C.

    A training in hand is given back to the queue and goes on from its last epoch with the next
    worker. So that no training holds up the rest, run a second worker with `--only data` beside
    it: `atrous up` starts both. That one needs nothing of `atrous[train]`.

    \b
    Example:  atrous worker
              atrous worker --only data
    """
    from atrous.cli.train import require_training
    from atrous.jobs.worker import DATASET_KINDS, KINDS, work, worker_name
    from atrous.store.home import home_folder
    from atrous.store.opening import open_store

    if only is None:
        require_training()
    logging.basicConfig(
        level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    logging.getLogger("atrous").setLevel(logging.INFO)
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    if parent is not None:
        threading.Thread(target=_follow, args=(parent, stopping), daemon=True).start()
    with open_store(home_folder()) as store:
        work(store, worker_name(), stopping, DATASET_KINDS if only else KINDS)


def _follow(parent: int, stopping: threading.Event) -> None:
    """Set `stopping` once the parent has died, so that no worker outlives its `atrous up`."""
    while not stopping.wait(PARENT_POLL_S):
        if os.getppid() != parent:
            stopping.set()
