"""Training progress on standard error: a bar for people, a line per epoch for logs."""

import logging
import sys
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from atrous.training.loop import Progress as TrainingProgress


class TrainingBar:
    """Shows what `atrous.training.loop.train` reports. Use it in a `with` block."""

    def __init__(self) -> None:
        self.console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("loss {task.fields[loss]}"),
            TimeElapsedColumn(),
            TextColumn("left {task.fields[left]}"),
            console=self.console,
            disable=not sys.stderr.isatty(),
        )
        self._task = self._bar.add_task("training", total=1.0, epoch="-", loss="-", left="-")

    def __enter__(self) -> "TrainingBar":
        """Start the bar."""
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop the bar, leaving its last state on the screen."""
        self._bar.stop()

    def say(self, line: str) -> None:
        """Print a line above the bar as it is: never broken in two, so that it can be pasted."""
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def report(self, progress: "TrainingProgress") -> None:
        """Move the bar; at the end of an epoch say what it reached, where that was measured."""
        self._bar.update(
            self._task,
            completed=progress.fraction,
            epoch=progress.epoch,
            loss=f"{progress.loss:.3f}",
            left=spoken(progress.left_s),
        )
        if progress.results:
            miou = progress.results["valid_miou"]
            logging.getLogger("atrous.training").info(
                "epoch %d: loss %.4f, %s%.1f %% of its time waiting for photos; %s gone, %s left",
                progress.epoch,
                progress.loss,
                "" if miou is None else f"validation mIoU {miou:.4f}, ",
                100 * progress.results["waiting_share"],
                spoken(progress.elapsed_s),
                spoken(progress.left_s),
            )


def log_to_standard_error(console: Console) -> None:
    """Send the log lines of atrous through `console`, so that they don't tear a bar."""
    logger = logging.getLogger("atrous")
    logger.setLevel(logging.INFO)
    if sys.stderr.isatty():
        handler: logging.Handler = RichHandler(console=console, show_path=False, show_level=False)
    else:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    logger.addHandler(handler)


def spoken(seconds: float | None) -> str:
    """A duration as people say it.

    >>> spoken(3725.0), spoken(42.5), spoken(None)
    ('1h02m', '42s', '?')
    """
    if seconds is None:
        return "?"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes:02d}m"
    return f"{minutes}m{rest:02d}s" if minutes else f"{rest}s"
