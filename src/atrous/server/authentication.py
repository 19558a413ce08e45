"""Who may call: a key with the right scope for every route that is not marked as open."""

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import orjson
from fastapi import HTTPException, Request
from starlette.types import Scope as ASGIScope

from atrous.domain.errors import KeyMissing, NotAllowed
from atrous.server.body_limit import BODY_ACCOUNT
from atrous.server.errors import NOT_AUTHORIZED
from atrous.server.failed_keys import WINDOW_S
from atrous.server.json_bodies import refuse_many_values
from atrous.server.services import Services, services_of
from atrous.server.streamed_bodies import is_streamed
from atrous.store.api_keys import ApiKey, Scope

HOW_TO_SEND = (
    "send an active API key as api_key in the query, in the header Authorization behind the word "
    "'Bearer', or as api_key in a JSON body"
)
RETRY_LATER = {"Retry-After": str(round(WINDOW_S))}
NO_KEY = ("", "None", "null")  # what clients send when they have none
Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])


def open_to_all(endpoint: Endpoint) -> Endpoint:
    """Mark an endpoint that answers without a key. All others need one.

    The mark is on the function, not on a path: a path can be made to look like another one.
    """
    endpoint.__dict__["open_to_all"] = True
    return endpoint


async def authenticate(request: Request) -> None:
    """Let a request pass, or raise NotAllowed. Every route of the app depends on this."""
    services = services_of(request)
    request.state.api_key = None
    if is_open(request.scope["endpoint"]):
        return
    if services.lifecycle.phase == "draining":
        raise HTTPException(503, "The server is shutting down.", {"Connection": "close"})
    if not services.settings.require_key:
        return
    secret = await find_key(request)
    key = await services.verify_key(secret) if secret else None
    if secret and key is None:
        _count_failure(request)
    if secret is None:
        raise KeyMissing(f"Unauthorized api_key: {HOW_TO_SEND}")
    if key is None:
        raise NotAllowed(f"{NOT_AUTHORIZED}: {HOW_TO_SEND}")
    request.state.api_key = key
    account = request.scope["state"].get(BODY_ACCOUNT)
    if account is not None:  # a streamed body has none
        account.trust()


async def may_send_body(services: Services, scope: ASGIScope) -> bool:
    """Tell whether the head of a request shows that its body is welcome before it is read.

    Else the key may be in the body, or nowhere: that body counts in a share of its own.
    """
    if not services.settings.require_key:
        return True
    secret = _key_in_head(services, Request(scope))
    return secret is not None and await services.verify_key(secret) is not None


async def may_infer(services: Services, scope: ASGIScope) -> bool:
    """Tell whether the head of a request shows that it may ask models."""
    if services.lifecycle.phase == "draining":
        return False
    if not services.settings.require_key:
        return True
    secret = _key_in_head(services, Request(scope))
    key = await services.verify_key(secret) if secret else None
    return key is not None and "infer" in key.scopes


def _count_failure(request: Request) -> None:
    """Refuse an address that tried too many keys. Who has a right key never gets here."""
    services = services_of(request)
    services.metrics.wrong_keys.inc()
    if services.failed_keys.add(request.client.host if request.client else ""):
        raise HTTPException(
            429, "Too many wrong API keys came from this address; wait a minute.", RETRY_LATER
        )


def is_open(endpoint: Callable[..., Any]) -> bool:
    """Tell whether an endpoint carries the mark."""
    return bool(getattr(endpoint, "open_to_all", False))


def needs(scope: Scope) -> Callable[[Request], Coroutine[Any, Any, None]]:
    """Give a dependency that lets only keys of this scope pass."""

    async def check_scope(request: Request) -> None:
        key: ApiKey | None = request.state.api_key
        if key is not None and scope not in key.scopes:
            raise NotAllowed(
                f"{NOT_AUTHORIZED}: the key lacks the scope '{scope}'; create one that has it"
            )

    return check_scope


async def find_key(request: Request) -> str | None:
    """Give the key that was sent: query before header before JSON body; None where none was."""
    return _key_in_head(services_of(request), request) or await _key_in_body(request)


def _key_in_head(services: Services, request: Request) -> str | None:
    in_header = _bearer(request) if services.settings.allow_api_key_from_headers else ""
    candidates = (request.query_params.get("api_key", ""), in_header)
    return next((candidate for candidate in candidates if candidate not in NO_KEY), None)


def _bearer(request: Request) -> str:
    kind, _, secret = request.headers.get("authorization", "").partition(" ")
    return secret.strip() if kind.lower() == "bearer" else ""


async def _key_in_body(request: Request) -> str | None:
    if is_streamed(request.scope) or "multipart/" in request.headers.get("content-type", ""):
        return None
    body = await request.body()
    if not body[:100].lstrip().startswith(b"{"):  # most bodies are pictures, not JSON
        return None
    refuse_many_values(body)
    try:
        fields = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    secret = fields.get("api_key") if isinstance(fields, dict) else None
    return secret if isinstance(secret, str) and secret not in NO_KEY else None
