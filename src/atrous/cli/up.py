"""`atrous up`: server and workers in one command, with a demo on an empty store."""

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from atrous.cli.own_key import ensure_key

if TYPE_CHECKING:
    from atrous.server.settings import ServerSettings
    from atrous.store.jobs import Job
    from atrous.store.opening import Store

logger = logging.getLogger("atrous.up")
POLL_S = 1.0
LINE_EVERY_S = 10.0  # a line about a training at least so often
WORKER_ENDS_S = 15.0  # what a worker needs to give its job back
LONGEST_PAUSE_S = 60.0  # before a worker that keeps ending is started anew
# Options of the workers: the second one takes no training, so that none holds up the rest. It is
# the only one where training is not installed.
DATA_WORKER = ("--only", "data")
WORKERS: tuple[tuple[str, ...], ...] = ((), DATA_WORKER)


def up_command(
    host: Annotated[
        str | None, typer.Option(help="Address to listen on.  [env: HOST; else 127.0.0.1]")
    ] = None,
    port: Annotated[int | None, typer.Option(help="[env: PORT; else 9001]")] = None,
    demo: Annotated[
        bool, typer.Option(help="On an empty store, train the demo model shapes/1.")
    ] = True,
) -> None:
    """Run server and training worker until Ctrl-C. Everything lies under one data folder.

    On an empty store it makes an API key and trains a demo model on drawn shapes, `shapes/1`,
    while the server already answers. Run again, it keeps everything.

    \b
    Example:  atrous up
              ATROUS_HOME=/srv/atrous atrous up --port 8080
    """
    from atrous.cli.serve import listen, serve
    from atrous.cli.train import missing_for_training
    from atrous.server.settings import settings_from_environment
    from atrous.store.home import home_folder
    from atrous.store.opening import open_store

    settings = settings_from_environment(host=host, port=port)
    # Before anything is begun: were another server on the port, it would be taken for this one.
    listen(settings.host, settings.port).close()
    training = not missing_for_training()
    with open_store(home_folder()) as store:
        key_file = ensure_key(store)
        if demo and training:
            queue_demo(store)
        companion = Companion(settings, store, key_file, training)
        companion.start()
        try:
            serve(settings, store)
        finally:
            companion.stop()


def queue_demo(store: "Store") -> None:
    """Queue the demo training where nothing was ever trained or added."""
    from atrous.jobs.demo import enqueue_demo

    if enqueue_demo(store):
        logger.info("the demo model is queued")


class Companion:
    """What runs beside the server: the greeting, worker processes, lines about trainings."""

    def __init__(
        self, settings: "ServerSettings", store: "Store", key_file: Path, training: bool
    ) -> None:
        self._settings = settings
        self._store = store
        self._key_file = key_file
        self._training = training
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._said: dict[str, tuple[object, float]] = {}  # job -> what was said of it, and when

    def start(self) -> None:
        """Begin, in a thread; nothing is printed before the server is ready."""
        self._thread.start()

    def stop(self) -> None:
        """End the workers, which give their jobs back to the queue, and the thread."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        if not self._wait_until_ready():
            return
        print(greeting(self._url, self._key_file, self._store, self._training), flush=True)
        needed = WORKERS if self._training else (DATA_WORKER,)
        workers = [Worker(options) for options in needed]
        while not self._stopping.wait(POLL_S):
            for worker in workers:
                worker.look_after()
            try:
                for job in self._jobs_in_hand():
                    self._tell(job)
            except Exception:  # whatever it is, the workers must still be looked after
                logger.exception("could not say how far the jobs are")
        for worker in workers:
            worker.ask_to_end()
        for worker in workers:
            worker.end()

    def _jobs_in_hand(self) -> list["Job"]:
        """The jobs that wait or run, and those that did when they were last looked at."""
        jobs = self._store.jobs
        open_jobs = [*jobs.list(state="queued"), *jobs.list(state="running")]
        settled = self._said.keys() - {job.id for job in open_jobs}
        return [*open_jobs, *(jobs.get(job_id) for job_id in settled)]

    @property
    def _url(self) -> str:
        host = self._settings.host
        if ":" in host:
            host = f"[{host}]"
        shown = "localhost" if host in ("0.0.0.0", "[::]", "127.0.0.1") else host
        scheme = "https" if self._settings.enable_https else "http"
        return f"{scheme}://{shown}:{self._settings.port}"

    def _wait_until_ready(self) -> bool:
        """Whether the server became ready before it was stopped."""
        import httpx

        # verify: this is its own server, whose certificate names its public host
        with httpx.Client(trust_env=False, verify=False) as client:
            while not self._stopping.wait(0.1):
                try:
                    answer = client.get(self._url.replace("localhost", "127.0.0.1") + "/readiness")
                except httpx.TransportError:
                    continue  # it does not listen yet
                if answer.status_code == 200:
                    return True
        return False

    def _tell(self, job: "Job") -> None:
        """Print a line about a job whenever its state or epoch changes, or ten seconds passed."""
        news = (job.state, job.progress.get("epoch"), job.progress.get("stage"))
        before, when = self._said.get(job.id, (None, 0.0))
        now = time.monotonic()
        if news == before and now - when < LINE_EVERY_S:
            return
        self._said[job.id] = (news, now)
        if job.state in ("finished", "failed", "cancelled"):
            del self._said[job.id]
        line = line_about(job)
        if line:
            print(line, flush=True)


class Worker:
    """A worker process, started anew where it ended, each time after a longer pause."""

    _process: "subprocess.Popen[bytes]"
    _started_s: float
    _ended_s: float | None  # when it was seen to have ended; None while it runs

    def __init__(self, options: Sequence[str]) -> None:
        """Start it with these options of `atrous worker`."""
        self._options = options
        self._pause_s = POLL_S
        self._start()

    def look_after(self) -> None:
        """Start it anew where it ended and the pause is over."""
        if self._process.poll() is None:
            return
        now = time.monotonic()
        if self._ended_s is None:
            if now - self._started_s > LONGEST_PAUSE_S:  # it worked: what ended it may be over
                self._pause_s = POLL_S
            self._ended_s = now
            code = self._process.returncode
            message = "the worker ended with exit code %d: starting it anew in %.0f s"
            logger.warning(message, code, self._pause_s)
        if now - self._ended_s >= self._pause_s:
            self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
            self._start()

    def ask_to_end(self) -> None:
        """Let it give its job back."""
        self._process.terminate()

    def end(self) -> None:
        """Wait a while for the end that it was asked for."""
        try:
            self._process.wait(WORKER_ENDS_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _start(self) -> None:
        self._started_s = time.monotonic()
        self._ended_s = None
        self._process = start_worker(self._options)


def start_worker(options: Sequence[str]) -> "subprocess.Popen[bytes]":
    """Start one in a session of its own: Ctrl-C in the terminal reaches the server alone, which is
    drained first.
    """
    return subprocess.Popen(
        [sys.executable, "-m", "atrous", "worker", *options, "--parent", str(os.getpid())],
        start_new_session=True,
    )


def line_about(job: "Job") -> str:
    """One line for people; empty where there is nothing to say."""
    from atrous.cli.training_progress import spoken

    name = "demo" if job.kind == "demo" else job.payload.get("project", job.kind)
    if job.state == "finished" and "model_id" not in job.result:
        return f"[{name}] {job.kind}: done"
    if job.state == "finished":
        miou = job.result.get("miou")  # None where another worker had trained it already
        reached = f", mIoU {miou:.3f}" if miou is not None else ""
        return f"[{name}] published as {job.result['model_id']}{reached}"
    if job.state == "failed":
        return f"[{name}] failed: {job.error}"
    share = job.progress.get("fraction")
    if job.state == "running" and share is not None and "epoch" not in job.progress:
        return f"[{name}] {job.kind}: {share:.0%}"
    if job.state == "running" and share is not None:
        bar = "#" * round(20 * share)
        miou = job.progress.get("miou")
        reached = f", mIoU {miou:.3f}" if miou is not None else ""
        return (
            f"[{name}] training [{bar:<20}] {share:4.0%}  epoch {job.progress['epoch']}, "
            f"loss {job.progress['loss']:.3f}{reached}, {spoken(job.progress['left_s'])} left"
        )
    if job.state == "running":
        return f"[{name}] {job.progress.get('stage', 'begins')}"
    return f"[{name}] {job.state}" if job.state == "cancelled" else ""


def greeting(url: str, key_file: Path, store: "Store", training: bool = True) -> str:
    """Where the server is, where the key lies, and samples to paste.

    training: whether it is installed.
    """
    from atrous.jobs.demo import FIRST_TEST_PHOTO, PROJECT, demo_folder
    from atrous.store.models import asked_names

    models = asked_names(store.models.list())
    image = demo_folder(store.home.folder) / "test"
    names = sorted(image.glob("*.jpg")) if image.is_dir() else []
    has_key = key_file.exists()
    key_state = key_file if has_key else "yours; another: atrous keys create NAME"
    demo = [job for job in store.jobs.list(kind="demo") if job.state in ("queued", "running")]
    photo = str(names[0]) if names else "YOUR_IMAGE.jpg"
    ready = ""
    if demo and not models:
        photo = str(image / FIRST_TEST_PHOTO)
        ready = f"\n{PROJECT}/1 is being trained; the samples work once it is published.\n"
    elif not models:
        ready = (
            "\nThere is no model yet. Train one, or add a package with `atrous models add FOLDER "
            "--as NAME`:\nthe samples ask it, by its name.\n"
        )
    model = models[-1] if models else f"{PROJECT}/1" if demo else "NAME/1"
    in_shell, in_python = "YOUR_KEY", '"YOUR_KEY"'
    if has_key:
        in_shell, in_python = f"$(cat {key_file})", f'open("{key_file}").read().strip()'
    train = "Train on your own pictures:  atrous train DIR --as NAME"
    if not training:
        train = "Training is not installed: pip install 'atrous[train]'; all else is there."
    return f"""
atrous is ready
  URL         {url}   (API: {url}/docs)
  data        {store.home.folder}
  key         {key_state}
  models      {", ".join(models) or "none yet"}
{ready}
Try it with curl:

  base64 {photo} | curl -s -d @- \\
    "{url}/{model}?api_key={in_shell}"

or with Python (pip install inference-sdk, in an environment of its own):

  from inference_sdk import InferenceHTTPClient
  client = InferenceHTTPClient(api_url="{url}", api_key={in_python})
  print(client.infer("{photo}", model_id="{model}")["predictions"]["class_map"])

{train}        Stop: Ctrl-C
"""
