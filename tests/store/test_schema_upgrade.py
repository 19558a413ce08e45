import subprocess
import sys
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import text

from atrous.domain.errors import Conflict
from atrous.store import open_store
from atrous.store.database import Database
from atrous.store.schema_upgrade import MIGRATIONS, newest_revision, revision_of

SOURCE = Path(__file__).parents[2] / "src"
REOPEN = """
import sys
from pathlib import Path
from atrous.store import open_store
open_store(Path(sys.argv[1])).close()
print("alembic" in sys.modules)
"""


def test_the_newest_revision_is_alembics() -> None:
    assert newest_revision() == ScriptDirectory(str(MIGRATIONS)).get_current_head()


def test_a_database_has_the_revision_that_it_was_brought_to(database_url: str) -> None:
    database = Database(database_url)
    found = []
    for step in (lambda: None, lambda: database.migrate("r0002"), database.migrate):
        step()
        with database.read() as connection:
            found.append(revision_of(connection))
    database.close()
    assert found == [None, "r0002", newest_revision()]


def test_opening_current_tables_imports_no_alembic(tmp_path: Path) -> None:
    open_store(tmp_path).close()
    command = [sys.executable, "-c", REOPEN, str(tmp_path)]
    done = subprocess.run(command, cwd=SOURCE, capture_output=True, text=True, timeout=300)
    assert done.stdout == "False\n", done.stderr


def test_tables_of_a_newer_release_are_left_alone(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'atrous.sqlite3'}"
    database = Database(url)
    database.migrate()
    with database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'r9999'"))
    with pytest.raises(Conflict, match="newer release"):
        database.migrate()
    database.close()
