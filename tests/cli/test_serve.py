"""The parts of `atrous serve`; tests/clients runs the whole of it."""

import asyncio
import logging
import socket

import pytest

from atrous.cli import serve as serve_module
from atrous.cli.serve import listen
from atrous.domain.errors import Conflict


def test_listening_tells_which_port_is_in_use() -> None:
    with listen("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(Conflict, match=f"{port} .*; end what uses it, or .*--port"):
            listen("127.0.0.1", port)


def test_an_address_of_another_machine_is_refused() -> None:
    for host in ("192.0.2.1", "nosuch.invalid"):
        with pytest.raises(Conflict, match=f"{host} .*; give an address of .* with --host$"):
            listen(host, 0)


def test_answers_wait_for_no_acknowledgement() -> None:
    """Headers and body are two small packets: with Nagle's algorithm the second takes 40 ms."""

    async def accepted(listener: socket.socket) -> int:
        option: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        async def look(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connection = writer.get_extra_info("socket")
            option.set_result(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        server = await asyncio.start_server(look, sock=listener)
        async with server:
            _, writer = await asyncio.open_connection(*listener.getsockname()[:2])
            found = await asyncio.wait_for(option, 30)
            writer.close()
            await writer.wait_closed()
        return found

    with listen("127.0.0.1", 0) as listener:
        assert asyncio.run(accepted(listener)) != 0


def test_options_reach_the_server(atrous, monkeypatch) -> None:
    seen = []
    monkeypatch.setattr(serve_module, "serve", lambda settings, store: seen.append(settings))
    monkeypatch.setenv("PORT", "7777")
    monkeypatch.setenv("MAX_ACTIVE_MODELS", "3")
    assert atrous("serve", "--no-auth", "--engine", "onnxruntime")[0] == 0
    [settings] = seen
    assert settings.port == 7777
    assert settings.max_active_models == 3
    assert not settings.require_key
    assert settings.engine == "onnxruntime"


def test_bad_options_are_refused(atrous) -> None:
    assert atrous("serve", "--port", "70000")[0] == 1
    assert atrous("serve", "--port", "x")[0] == 2
    assert atrous("serve", "--engine", "nothing")[0] == 1
    assert atrous("serve", "--host", "0.0.0.0", "--no-auth")[0] == 1


def test_the_start_says_what_is_there(atrous, home, caplog) -> None:
    from atrous.server.settings import ServerSettings
    from atrous.store import open_store

    with open_store(home) as store, caplog.at_level(logging.INFO):
        serve_module._announce(ServerSettings(), store, 9001)
    assert "http://127.0.0.1:9001" in caplog.text
    assert "atrous keys create" in caplog.text
