"""Signed links to blobs: who has one needs no key, until it expires."""

import base64
import hashlib
import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

import orjson
from fastapi import Request

from atrous.domain.errors import NotFound
from atrous.server.services import Services

SECRET_NAME = "links"
MAX_TOKEN = 2000
NOT_VALID = "this link is not valid or has expired; ask for a new one"


@dataclass(frozen=True)
class Target:
    """What a link opens."""

    digest: str  # of the blob
    media_type: str
    expires_at: float  # seconds since 1970


def sign(target: Target, secret: bytes) -> str:
    """Make the token of a target."""
    facts = orjson.dumps([target.digest, target.media_type, round(target.expires_at)])
    return f"{_encode(facts)}.{_encode(_signature(facts, secret))}"


def verify(token: str, secret: bytes, clock: Callable[[], float] = time.time) -> Target:
    """Read a token back; one that is not ours, was changed, or is over raises NotFound."""
    facts_text, _, signature_text = token.partition(".")
    try:
        if len(token) > MAX_TOKEN:
            raise ValueError("too long")
        facts, signature = _decode(facts_text), _decode(signature_text)
    except ValueError:
        raise NotFound(NOT_VALID) from None
    if not hmac.compare_digest(signature, _signature(facts, secret)):
        raise NotFound(NOT_VALID)
    digest, media_type, expires_at = orjson.loads(facts)
    target = Target(digest, media_type, float(expires_at))
    if clock() >= target.expires_at:
        raise NotFound(NOT_VALID)
    return target


class Links:
    """Writes absolute links for one request."""

    def __init__(self, request: Request, services: Services) -> None:
        """Build links for the host that the request came to, unless the settings name one."""
        self._origin = (services.settings.public_url or str(request.base_url)).rstrip("/")
        self._store = services.store
        self._lifetime_s = services.settings.link_lifetime_s

    @property
    def origin(self) -> str:
        """Where this server is reached, without a slash at the end."""
        return self._origin

    def to(self, digest: str, media_type: str, file_name: str) -> str:
        """Write a link that downloads a blob under a file name. It reads the store once."""
        expires_at = time.time() + self._lifetime_s
        token = sign(Target(digest, media_type, expires_at), self._store.secrets.get(SECRET_NAME))
        return f"{self._origin}/files/{token}/{quote(file_name, safe='')}"


def _signature(facts: bytes, secret: bytes) -> bytes:
    return hmac.new(secret, facts, hashlib.sha256).digest()


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
