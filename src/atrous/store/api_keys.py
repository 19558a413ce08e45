"""API keys: shown once, stored as digests, compared in constant time, revoked at once."""

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from sqlalchemy import insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from atrous.domain.errors import BadInput, Conflict, NotFound
from atrous.store.database import Database, api_keys, new_id
from atrous.store.workspaces import Workspace

Scope = Literal["admin", "write", "infer"]
ALL_SCOPES: tuple[Scope, ...] = ("admin", "write", "infer")

SECRET_START = "atr_"  # has lower-case letters: clients take a key without any for a placeholder
SECRET_BYTES = 32
SECRET_PATTERN = re.compile(r"atr_[A-Za-z0-9_-]{43}")
PREFIX_LENGTH = 12  # of the plain text: enough to find the row, 8 characters of the secret part


@dataclass(frozen=True)
class ApiKey:
    """One row of `api_keys`, without its digest; times are seconds since 1970."""

    id: str
    workspace_id: str
    name: str
    prefix: str  # the first characters of the key, for people to tell keys apart
    scopes: tuple[Scope, ...]
    created_at: float
    expires_at: float | None
    revoked_at: float | None

    def active(self, now: float) -> bool:
        """Tell whether the key opens anything at this time."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


@dataclass(frozen=True)
class ApiKeySecret:
    """A key just created, with the plain text that is kept nowhere."""

    key: ApiKey
    plain_text: str


class ApiKeys:
    """Creates, verifies and revokes keys."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        """Work on an open, migrated database; `clock` gives seconds since 1970."""
        self._database = database
        self._clock = clock

    def create(
        self,
        name: str,
        workspace: Workspace,
        *,
        scopes: Sequence[str] = ALL_SCOPES,
        expires_at: float | None = None,
    ) -> ApiKeySecret:
        """Add a key of 256 random bits; a name that an active key has raises Conflict."""
        _check(name, scopes)
        plain_text = SECRET_START + secrets.token_urlsafe(SECRET_BYTES)
        key = ApiKey(
            id=new_id(),
            workspace_id=workspace.id,
            name=name,
            prefix=plain_text[:PREFIX_LENGTH],
            scopes=cast(tuple[Scope, ...], tuple(scopes)),  # checked above
            created_at=self._clock(),
            expires_at=expires_at,
            revoked_at=None,
        )
        values = {**vars(key), "scopes": list(scopes), "digest": digest_of(plain_text)}
        try:
            with self._database.write() as connection:
                connection.execute(insert(api_keys).values(**values))
        except IntegrityError:
            raise Conflict(
                f"a key named '{name}' exists already; choose another name or revoke it first"
            ) from None
        return ApiKeySecret(key, plain_text)

    def verify(self, secret: str) -> ApiKey | None:
        """Give the active key that this plain text belongs to, or None."""
        if not SECRET_PATTERN.fullmatch(secret):  # else databases choke on what can't be text
            return None
        query = select(api_keys).where(api_keys.c.prefix == secret[:PREFIX_LENGTH])
        with self._database.read() as connection:
            rows = connection.execute(query).mappings().all()
        digest = digest_of(secret)
        for row in rows:
            if hmac.compare_digest(row["digest"], digest):
                key = _api_key(row)
                return key if key.active(self._clock()) else None
        return None

    def is_active(self, key_id: str) -> bool:
        """Tell whether the key of this id is there, and neither expired nor revoked."""
        with self._database.read() as connection:
            found = connection.execute(select(api_keys).where(api_keys.c.id == key_id))
            row = found.mappings().first()
        return row is not None and _api_key(row).active(self._clock())

    def any_active(self) -> bool:
        """Tell whether there is a key that is neither expired nor revoked."""
        now = self._clock()
        return any(key.active(now) for key in self.list())

    def list(self) -> list[ApiKey]:
        """Give all keys, revoked ones included, oldest first."""
        with self._database.read() as connection:
            rows = connection.execute(select(api_keys).order_by(api_keys.c.created_at))
            return [_api_key(row) for row in rows.mappings()]

    def revoke(self, name_or_id: str) -> ApiKey:
        """Make the active key of this name or id useless from now on, else raise NotFound."""
        with self._database.write() as connection:
            found = connection.execute(
                select(api_keys).where(
                    or_(api_keys.c.name == name_or_id, api_keys.c.id == name_or_id),
                    api_keys.c.revoked_at.is_(None),
                )
            )
            rows = found.mappings().all()
            if not rows:
                raise NotFound(
                    f"there is no active key {name_or_id[:100]!r}; `atrous keys list` shows them"
                )
            if len(rows) > 1:
                raise Conflict(
                    f"several workspaces have a key {name_or_id[:100]!r}; give the key's id"
                )
            revoked_at = self._clock()
            connection.execute(
                update(api_keys).where(api_keys.c.id == rows[0]["id"]).values(revoked_at=revoked_at)
            )
        return _api_key(rows[0], revoked_at=revoked_at)


def _check(name: str, scopes: Sequence[str]) -> None:
    if not name.strip() or len(name) > 200:
        raise BadInput(f"key name {name[:100]!r} can't be used; take 1 to 200 characters")
    unknown = sorted(set(scopes) - set(ALL_SCOPES))
    if unknown or not scopes:
        raise BadInput(f"scopes {list(scopes)} can't be used; take some of {list(ALL_SCOPES)}")


def digest_of(secret: str) -> str:
    """What is kept of a key instead of its plain text; of any other text, too.

    A plain digest is enough for a secret of 256 random bits: there is no dictionary to try.
    """
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def _api_key(row: Mapping[Any, Any], **changes: Any) -> ApiKey:
    values = {**row, **changes}
    del values["digest"]
    return ApiKey(**{**values, "scopes": tuple(values["scopes"])})
