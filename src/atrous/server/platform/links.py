"""Signed links: who has one needs no key, until it expires or the key that asked for it goes."""

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
from atrous.server.services import Services, key_of
from atrous.store import Store

BLOBS = "links"  # the secret of links to blobs; other links have other ones: none opens another's
MAX_TOKEN = 2000
NOT_VALID = "this link is not valid or has expired; ask for a new one"


@dataclass(frozen=True)
class Target:
    """What a link opens."""

    thing: str  # by its name: a blob's digest, a package's folder, a task's id
    media_type: str
    expires_at: float  # seconds since 1970
    key_id: str | None = None  # of who asked for it; None: the server asks for no keys


def sign(target: Target, secret: bytes) -> str:
    """Make the token of a target."""
    expires_at = round(target.expires_at)
    facts = orjson.dumps([target.thing, target.media_type, expires_at, target.key_id])
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
    thing, media_type, expires_at, *key_id = orjson.loads(facts)
    target = Target(thing, media_type, float(expires_at), *key_id)
    if clock() >= target.expires_at:
        raise NotFound(NOT_VALID)
    return target


def opened(token: str, secret_name: str, store: Store) -> Target:
    """Read a token back whose key still opens something, else raise NotFound. Reads the store."""
    target = verify(token, store.secrets.get(secret_name))
    if target.key_id is not None and not store.api_keys.is_active(target.key_id):
        raise NotFound(NOT_VALID)
    return target


class Links:
    """Writes absolute links for one request."""

    def __init__(self, request: Request, services: Services) -> None:
        """Build links for the host that the request came to, unless the settings name one."""
        self._origin = (services.settings.public_url or str(request.base_url)).rstrip("/")
        self._store = services.store
        self._lifetime_s = services.settings.link_lifetime_s
        self._key = key_of(request)

    @property
    def origin(self) -> str:
        """Where this server is reached, without a slash at the end."""
        return self._origin

    def to(self, digest: str, media_type: str, file_name: str) -> str:
        """Write a link that downloads a blob under a file name. It reads the store once."""
        token = self.token(BLOBS, digest, media_type)
        return f"{self._origin}/files/{token}/{quote(file_name, safe='')}"

    def token(self, secret_name: str, thing: str, media_type: str) -> str:
        """Make the token of a link for who sent this request. It reads the store once."""
        expires_at = time.time() + self._lifetime_s
        key_id = self._key.id if self._key else None
        target = Target(thing, media_type, expires_at, key_id)
        return sign(target, self._store.secrets.get(secret_name))


def _signature(facts: bytes, secret: bytes) -> bytes:
    return hmac.new(secret, facts, hashlib.sha256).digest()


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
