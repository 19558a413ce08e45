"""`atrous serve`: the HTTP server."""

from __future__ import annotations

import errno
import logging
import signal
import socket
from typing import TYPE_CHECKING, Annotated

import typer

from atrous.domain.errors import Conflict

if TYPE_CHECKING:
    from atrous.server.settings import ServerSettings
    from atrous.store import Store

logger = logging.getLogger("atrous.serve")
BACKLOG = 2048  # connections that wait to be accepted
OF_PORT = {  # what to do where it is the port, not the address, that can't be had
    errno.EADDRINUSE: "end what uses it, or choose another one with --port",
    errno.EACCES: "choose one from 1024 on with --port",
}


def serve_command(
    host: Annotated[
        str | None,
        typer.Option(help="Address to listen on; 0.0.0.0 for all.  [env: HOST; else 127.0.0.1]"),
    ] = None,
    port: Annotated[int | None, typer.Option(help="[env: PORT; else 9001]")] = None,
    no_auth: Annotated[
        bool, typer.Option("--no-auth", help="Ask nobody for a key; on a loopback address only.")
    ] = False,
    engine: Annotated[
        str | None, typer.Option(help="openvino, onnxruntime or auto.  [env: ENGINE]")
    ] = None,
    precision: Annotated[
        str | None, typer.Option(help="fp32, bf16 or auto.  [env: PRECISION]")
    ] = None,
) -> None:
    """Answer the clients of Roboflow's HTTP API with the masks of your models.

    It takes requests when GET /readiness answers 200. Ctrl-C or SIGTERM: requests that were
    accepted are answered, then it ends.

    \b
    Example:  atrous keys create laptop  &&  atrous serve --port 9001
    """
    from atrous.server.settings import settings_from_environment
    from atrous.store import home_folder, open_store

    settings = settings_from_environment(
        host=host,
        port=port,
        require_key=False if no_auth else None,
        engine=engine,
        precision=precision,
    )
    with open_store(home_folder()) as store:
        serve(settings, store)


def serve(settings: ServerSettings, store: Store) -> None:
    """Serve until SIGINT or SIGTERM, on an open store; Conflict where the port is in use."""
    from atrous.runtime.process_memory import reuse_freed
    from atrous.server.app import create_app
    from atrous.server.draining import serve_and_drain
    from atrous.server.log_lines import set_up_logging
    from atrous.server.peer_settings import warn_of_peer_settings

    set_up_logging(settings.log_format, settings.log_level)
    warn_of_peer_settings()
    reuse_freed()
    with listen(settings.host, settings.port) as listener:
        _announce(settings, store, listener.getsockname()[1])
        app = create_app(settings, store)
        _end_with_0_on_signals()
        serve_and_drain(app, listener)
    logger.info("ended")


def listen(host: str, port: int) -> socket.socket:
    """Give a listening socket; Conflict where another program has the port, or none can have it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sends small packets at once only where a socket says that it is TCP's; else the end
    # of every answer waits until the client has acknowledged its beginning: 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        remedy = OF_PORT.get(error.errno or 0, "give an address of this machine with --host")
        raise Conflict(f"can't listen on {host} port {port} ({error.strerror}); {remedy}") from None
    return listener


def _announce(settings: ServerSettings, store: Store, port: int) -> None:
    from atrous.store.models import asked_names

    logger.info("data folder %s", store.home.folder)
    for name in asked_names(store.models.list()):
        logger.info("model %s", name)
    if not settings.require_key:
        logger.warning("no key is asked for (--no-auth)")
    elif not store.api_keys.any_active():
        logger.warning("there is no active API key; make one with: atrous keys create NAME")
    scheme = "https" if settings.enable_https else "http"
    logger.info("listening on %s://%s:%d", scheme, settings.host, port)


def _end_with_0_on_signals() -> None:
    # uvicorn drains on these signals and then raises them once more for whoever handled them
    # before it: by default that would end the process with the signal's exit code.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
