"""Web pages of others, which may send requests to this machine from its user's own browser."""

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from atrous.server.errors import NOT_AUTHORIZED, json_response
from atrous.server.settings import is_loopback

PORT = re.compile(r":\d*$")


class ForeignPages:
    """ASGI middleware for a server without keys: 403 to what a foreign web page may have sent.

    A page's name may be made to mean this machine (DNS rebinding): then it is in `Host`. Other
    pages can post without asking, and then they are named in `Origin`, or have a picture shown
    from here, of which browsers say that it is for another site. Programs send neither.
    """

    def __init__(self, app: ASGIApp, allow_origins: Sequence[str], public_url: str = "") -> None:
        """Wrap an app.

        allow_origins: pages that may call all the same; `*` for all.
        public_url: how clients reach a proxy on this machine, where there is one.
        """
        self._app = app
        self._origins = frozenset(allow_origins)
        self._public_name = urlsplit(public_url).hostname

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        fault = self._fault(Headers(scope=scope)) if scope["type"] == "http" else None
        if fault is None:
            await self._app(scope, receive, send)
            return
        body = {"Message": NOT_AUTHORIZED, "message": f"{NOT_AUTHORIZED}: {fault}"}
        await json_response(body, 403)(scope, receive, send)

    def _fault(self, headers: Headers) -> str | None:
        host, origin = headers.get("host", ""), headers.get("origin")
        name = PORT.sub("", host).strip("[]").rstrip(".").lower()
        if not is_loopback(name) and name != self._public_name:
            return (
                f"the request is for the host {host[:100]!r}; a server without keys (--no-auth) "
                "answers to localhost and loopback addresses alone"
            )
        if origin is None and _is_embedded(headers):
            origin = _origin_of(headers.get("referer", ""))
        if origin is None or not self._origins.isdisjoint((origin, "*")):
            return None
        if origin.partition("://")[2].lower() == host.lower():
            return None
        return (
            f"the request is from a web page of {origin[:100]!r}; a server without keys "
            "(--no-auth) answers to pages of its own and of ALLOW_ORIGINS alone"
        )


def _is_embedded(headers: Headers) -> bool:
    """Whether a page of another site asks for a part of itself; a link that is followed is none."""
    is_foreign = headers.get("sec-fetch-site", "") == "cross-site"
    return is_foreign and headers.get("sec-fetch-dest", "") != "document"


def _origin_of(page: str) -> str:
    """Scheme, name and port of a page's address; "null", as browsers say, where it is none."""
    scheme, _, rest = page.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}" if rest else "null"
