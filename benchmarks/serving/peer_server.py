"""The peer's HTTP server as a process, with a package folder for its model and no network."""

import os
import shutil
import subprocess
import time
from pathlib import Path

from serving.server_process import Connection, end_process, free_port, wait_until_ready

SCRIPT = Path(__file__).with_name("peer_http.py")
MODEL_ID = "bench/1"  # a folder where the server runs: its way to a package of one's own
# It does not start without these folders of its image, which its wheel lacks; a page is in them.
LANDING_PAGE = ("inference/landing/out/static", "inference/landing/out/_next/static")


class PeerServer:
    """One running server; the model is loaded by its first photo."""

    def __init__(self, python: str, package: Path, work: Path) -> None:
        """Start it and wait until it answers; `seconds_to_ready` says how long that took."""
        models = work / "peer_models"
        shutil.rmtree(models, ignore_errors=True)
        shutil.copytree(package, models / MODEL_ID)
        for folder in LANDING_PAGE:
            (models / folder).mkdir(parents=True)
        self._port = free_port()
        environment = {
            **os.environ,
            "ALLOW_INFERENCE_MODELS_DIRECTLY_ACCESS_LOCAL_PACKAGES": "true",
            "MODEL_CACHE_DIR": str(work / "peer_cache"),
            "OFFLINE_MODE": "true",
            "TELEMETRY_OPT_OUT": "true",
            "USE_INFERENCE_MODELS": "true",
        }
        log = work / "peer_server.log"
        start = time.perf_counter()
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [python, str(SCRIPT), str(self._port)],
                cwd=models,
                env=environment,
                stdout=output,
                stderr=output,
            )
        try:
            wait_until_ready(self._process, self._port, "/info", log)
        except BaseException:
            self.close()
            raise
        self.seconds_to_ready = time.perf_counter() - start

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def connect(self, photo: Path) -> Connection:
        """A client's connection that posts this photo."""
        return Connection(self._port, MODEL_ID, "none", photo)

    def close(self) -> None:
        """Ask it to end, and insist after a while."""
        end_process(self._process)

    def __enter__(self) -> "PeerServer":
        """Give the server itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self.close()
