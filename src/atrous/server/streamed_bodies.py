"""Bodies that go to a file as they arrive, and are never held in memory: zips of data sets."""

import re
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.to_thread
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Receive, Scope

from atrous.domain.errors import DiskFull
from atrous.store.disk_full import naming_full_disk

METHOD = "PUT"
# Signed links alone: no workspace called `files` has a dot in what follows it.
LINK = re.compile(r"/files/[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+(?:/model\.zip)?")
DRAIN_TIMEOUT_S = 5.0


def is_streamed(scope: Scope) -> bool:
    """Whether a request's body is left to its route, which counts it."""
    is_link = LINK.fullmatch(str(scope.get("path", ""))) is not None
    return scope.get("method") == METHOD and is_link


@asynccontextmanager
async def body_in_file(request: Request, folder: Path, max_bytes: int) -> AsyncIterator[Path]:
    """Give a file with the whole body, which is gone afterwards.

    413 for more than `max_bytes`; DiskFull where there is no room for it.
    """
    with tempfile.TemporaryDirectory(prefix="body-", dir=folder) as temporary:
        path = Path(temporary) / "body"
        received = int(request.headers.get("content-length") or 0)
        if received <= max_bytes:
            received = await _write(request, path, max_bytes)
        if received > max_bytes:
            await drain(request.receive)
            raise HTTPException(413, f"The file is larger than {max_bytes} bytes; send it in parts")
        yield path


async def _write(request: Request, path: Path, max_bytes: int) -> int:
    """Write a body to a file; how many bytes came. Stops where they are more than `max_bytes`."""
    received = 0
    try:
        with naming_full_disk():
            async with await anyio.open_file(path, "wb") as file:
                async for piece in request.stream():
                    received += len(piece)
                    if received > max_bytes:
                        break
                    await file.write(piece)
    except DiskFull:
        await drain(request.receive)
        raise
    return received


async def drain(receive: Receive) -> None:
    """Read on for a moment: a client cut off while it sends never sees the answer."""
    with anyio.move_on_after(DRAIN_TIMEOUT_S):
        while (await receive()).get("more_body", False):
            pass
