import pytest
from sqlalchemy.exc import DataError, IntegrityError

from atrous.domain.errors import BadRequest, NotFound
from atrous.store.opening import Store
from atrous.store.unfit_values import naming_unfit_values


def test_the_reason_is_given() -> None:
    reason = "text fields cannot contain NUL (0x00) bytes\nLINE 1: SELECT"
    refused = pytest.raises(BadRequest, match=r"cannot contain NUL \(0x00\) bytes$")
    with refused, naming_unfit_values():
        raise DataError("SELECT 1", {}, ValueError(reason))


def test_other_errors_go_through() -> None:
    with pytest.raises(IntegrityError), naming_unfit_values():
        raise IntegrityError("INSERT", {}, ValueError("UNIQUE constraint failed"))


def test_nul_in_an_id(store: Store, migrated_url: str) -> None:
    """SQLite finds nothing; PostgreSQL has no such texts, and the request is told so."""
    workspace = store.workspaces.default()
    refused = BadRequest if migrated_url.startswith("postgresql") else NotFound
    with pytest.raises(refused, match="NUL|no such image"):
        store.images.in_workspace(workspace.id, "a\0b")
