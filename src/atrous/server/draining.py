"""The HTTP server process, which ends without losing a request that it accepted."""

import asyncio
import logging
import socket
from pathlib import Path

import anyio
import uvicorn
from fastapi import FastAPI

from atrous.domain.errors import BadInput
from atrous.server.header_timeout import PatientProtocol
from atrous.server.services import Services
from atrous.server.settings import ServerSettings

logger = logging.getLogger(__name__)
LOOK_EVERY_S = 0.02
# A kept connection may be idle so long. Not uvicorn's 5 s: the `roboflow` package asks every 5 s
# whether an export is ready, and now and then meets a connection that is just being closed.
KEEP_ALIVE_S = 75
LAST_CALL_S = 0.5  # for requests on connections that were taken in just before the door closed
LAST_WORDS_S = 5  # for the step that a cancelled request is in, and for answers on their way


class DrainingServer(uvicorn.Server):
    """Uvicorn stops listening at once when it is told to end: who comes then gets no answer.

    This one listens on while it works off what it accepted, and new requests are answered 503.
    Each answer ends its connection, so that at the end hardly any is open that a client might use.
    """

    def __init__(self, config: uvicorn.Config, services: Services) -> None:
        """Serve by this configuration; `services` are those of its app."""
        super().__init__(config)
        self._services = services

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Work off what was accepted, then end; a second Ctrl-C does not wait."""
        lifecycle = self._services.lifecycle
        lifecycle.drain()
        logger.info("draining: %d requests to be answered", lifecycle.to_be_answered)
        with anyio.move_on_after(self._services.settings.drain_timeout_s):
            while lifecycle.to_be_answered and not self.force_exit:
                await anyio.sleep(LOOK_EVERY_S)
        lifecycle.cut_off()
        with anyio.move_on_after(LAST_CALL_S):
            await self._take_last_in(sockets or [])
            while self.server_state.connections and not self.force_exit:
                await anyio.sleep(LOOK_EVERY_S)
        await super().shutdown(sockets)

    async def _take_last_in(self, listeners: list[socket.socket]) -> None:
        """Listen no longer, after all who stand at the door: the system resets who is left there.

        Those who came in last may still send their request, which is told that the server ends.
        """
        loop = asyncio.get_running_loop()
        for listener in listeners:
            loop.remove_reader(listener)
        await anyio.sleep(LOOK_EVERY_S)  # asyncio drops who is half way in when a server closes
        last = [connection for listener in listeners for connection in waiting_at(listener)]
        for server in self.servers:
            server.close()
        for connection in last:
            await loop.connect_accepted_socket(self._protocol, connection, ssl=self.config.ssl)

    def _protocol(self) -> asyncio.Protocol:
        """Serve a connection as uvicorn does."""
        return PatientProtocol(self.config, self.server_state, self.lifespan.state)


def waiting_at(listener: socket.socket) -> list[socket.socket]:
    """Take in all who wait at this moment."""
    connections = []
    while True:
        try:
            connections.append(listener.accept()[0])
        except BlockingIOError:
            return connections


def serve_and_drain(app: FastAPI, listener: socket.socket) -> None:
    """Serve an app on a listening socket until SIGINT or SIGTERM."""
    services: Services = app.state.services
    DrainingServer(server_config(app, services.settings), services).run(sockets=[listener])


def server_config(app: FastAPI, settings: ServerSettings) -> uvicorn.Config:
    """Give uvicorn's settings; BadInput where the certificate or its key can't be used."""
    config = uvicorn.Config(
        app,
        http=PatientProtocol,
        access_log=False,  # it would show query strings, and with them keys
        log_config=None,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=LAST_WORDS_S,
        ssl_certfile=settings.ssl_certfile if settings.enable_https else None,
        ssl_keyfile=(settings.ssl_keyfile or None) if settings.enable_https else None,
    )
    try:
        config.load()
    except OSError as error:  # what ssl raises as well, without the name of a file
        named = (settings.ssl_certfile, settings.ssl_keyfile)
        absent = [path for path in named if path and not Path(path).is_file()]
        reason = f"there is no file {absent[0]}" if absent else error.strerror or error
        raise BadInput(
            f"SSL_CERTFILE={settings.ssl_certfile} with SSL_KEYFILE={settings.ssl_keyfile} can't "
            f"be used ({reason}); give PEM files that belong together"
        ) from error
    return config
