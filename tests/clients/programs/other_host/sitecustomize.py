"""In a server's process: what is asked of OTHER_HOST over HTTPS comes from a port of this machine.

Python imports this module by itself where its folder is in PYTHONPATH. OTHER_HOST_PORT and
OTHER_HOST_CERTIFICATE say where, and what to believe.
"""

import os
from typing import Any

import anyio
import certifi

HOST, PORT = os.environ["OTHER_HOST"], int(os.environ["OTHER_HOST_PORT"])
HERE = "127.0.0.1"
getaddrinfo, connect_tcp = anyio.getaddrinfo, anyio.connect_tcp


async def look_up(host: Any, *rest: Any, **more: Any) -> Any:
    return await getaddrinfo(HERE if host == HOST else host, *rest, **more)


async def connect(remote_host: Any, remote_port: int, **more: Any) -> Any:
    is_other_host = (str(remote_host), remote_port) == (HERE, 443)
    return await connect_tcp(remote_host, PORT if is_other_host else remote_port, **more)


anyio.getaddrinfo, anyio.connect_tcp = look_up, connect
certifi.where = lambda: os.environ["OTHER_HOST_CERTIFICATE"]
