"""`GET /files/{token}/{name}`: a blob behind a signed link, whole or in part."""

import re
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Annotated

import anyio.to_thread
from fastapi import Path, Request, Response
from starlette.responses import StreamingResponse

from atrous.server.authentication import open_to_all
from atrous.server.platform.answer_schemas import answered_by_file
from atrous.server.platform.links import BLOBS, opened
from atrous.server.platform.routing import failure, platform_router
from atrous.server.services import Services, services_of

router = platform_router("files")
ONE_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")


@router.get(
    "/files/{token}/{name}",
    summary="Download by a signed link",
    response_class=Response,
    responses={
        **answered_by_file("The file, under its own content type."),
        **answered_by_file("The range that was asked for.", 206),
    },
)
@router.head("/files/{token}/{name}", include_in_schema=False)
@open_to_all  # the token is the key
async def download(
    request: Request,
    token: Annotated[str, Path(max_length=2000)],
    name: Annotated[str, Path(max_length=500)],
) -> Response:
    """Answer with the file. One range of bytes may be asked for; several are answered in full."""
    services = services_of(request)
    target = await services.look_up(lambda: opened(token, BLOBS, services.store))
    digest = target.thing
    size = await services.look_up(partial(services.store.blobs.size_bytes, digest))
    headers = {
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, immutable",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "ETag": f'"{digest}"',
        "X-Content-Type-Options": "nosniff",
    }
    wanted = _wanted_range(request, digest, size)
    if wanted is None:
        headers["Content-Length"] = str(size)
        pieces = partial(services.store.blobs.stream, digest)
        status = 200
    else:
        first, last = wanted
        if first > last:
            headers["Content-Range"] = f"bytes */{size}"
            return failure(416, f"the file has {size} bytes", "RangeNotSatisfiable", headers)
        headers["Content-Length"] = str(last - first + 1)
        headers["Content-Range"] = f"bytes {first}-{last}/{size}"
        pieces = partial(services.store.blobs.stream_part, digest, first, last - first + 1)
        status = 206
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=target.media_type)
    return StreamingResponse(
        _in_threads(services, pieces()), status, headers, media_type=target.media_type
    )


def _wanted_range(request: Request, digest: str, size: int) -> tuple[int, int] | None:
    """First and last byte (RFC 9110, 14.1.2); None: all of them. first > last: none is there."""
    condition = request.headers.get("if-range", "")
    match = ONE_RANGE.fullmatch(request.headers.get("range", ""))
    if match is None or match.group(0) == "bytes=-" or condition not in ("", f'"{digest}"'):
        return None
    first, last = match.groups()
    if not first:  # the last bytes
        return (max(size - int(last), 0), size - 1) if int(last) else (size, size - 1)
    if last and int(last) < int(first):
        return None
    return int(first), min(int(last), size - 1) if last else size - 1


async def _in_threads(services: Services, pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Read each piece off the event loop."""
    while piece := await anyio.to_thread.run_sync(next, pieces, b""):
        yield piece
