"""A process that trains a run together with others: `python -m atrous.jobs.companion RUN`.

Its number and theirs come from the environment variables that torchrun sets. `atrous train`
starts it once for every GPU but the first, which it trains on itself. On several machines torchrun
starts it for all: `torchrun --nnodes 2 --nproc-per-node 4 ... -m atrous.jobs.companion RUN`, with
the run folder and the data set at the same place on each; `atrous train --resume` exports then.
"""

import logging
import os
import signal
import sys
import threading
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from atrous.domain.errors import AtrousError, OutOfMemory
from atrous.jobs.companions import EXPLAINED, LACKS_MEMORY
from atrous.jobs.settling import end_with
from atrous.jobs.train import reopen
from atrous.training.loop import Progress, train
from atrous.training.processes import joined
from atrous.training.run_folder import RunFolder

logger = logging.getLogger(__name__)


def main(run_folder: str, parent: int, accumulation: int | None = None) -> int:
    """Train the run to its end, or until `parent` has died; gives the exit code.

    accumulation: in place of the recipe's, once the memory was short.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process ends this one
    threading.Thread(target=end_with, args=(parent,), daemon=True).start()
    first = os.environ["RANK"] == "0"
    logging.basicConfig(level=logging.INFO if first else logging.WARNING, format="%(message)s")
    run = RunFolder(Path(run_folder))
    try:
        # What `atrous train` has started works under its claim; torchrun's first has its own.
        with run.claimed() if first else nullcontext(), joined() as processes:
            _, dataset = reopen(run)
            recipe = run.read_recipe()
            recipe = replace(recipe, accumulation=accumulation or recipe.accumulation)
            train(dataset, recipe, run, _log_epoch, processes)
    except OutOfMemory as error:
        logger.error("%s", error)
        return LACKS_MEMORY
    except AtrousError as error:
        logger.error("%s", error)
        return EXPLAINED
    return 0


def _log_epoch(progress: Progress) -> None:
    if progress.results:
        miou = progress.results["valid_miou"]
        measured = "" if miou is None else f", mIoU {miou:.4f}"
        logger.info("epoch %d: loss %.4f%s", progress.epoch, progress.loss, measured)


if __name__ == "__main__":
    folder, *numbers = sys.argv[1:]
    # torchrun doesn't say which process it is.
    sys.exit(main(folder, *map(int, numbers)) if numbers else main(folder, os.getppid()))
