"""Secrets of the installation itself, made when they are first asked for."""

import secrets as randomness
import time

from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError

from atrous.store.database import Database
from atrous.store.dataset_tables import secrets

SECRET_BYTES = 32


class Secrets:
    """Reads random secrets that every server on one database shares."""

    def __init__(self, database: Database) -> None:
        """Work on an open, migrated database."""
        self._database = database

    def get(self, name: str) -> bytes:
        """Give the secret of this name, 256 random bits; the same one to all who ask."""
        found = self._find(name)
        if found is None:
            values = {"name": name, "value": randomness.token_hex(SECRET_BYTES)}
            try:
                with self._database.write() as connection:
                    connection.execute(insert(secrets).values(created_at=time.time(), **values))
            except IntegrityError:  # another process was faster
                pass
            found = self._find(name)
        assert found is not None
        return bytes.fromhex(found)

    def _find(self, name: str) -> str | None:
        with self._database.read() as connection:
            query = select(secrets.c.value).where(secrets.c.name == name)
            return connection.execute(query).scalar()
