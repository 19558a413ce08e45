from sqlalchemy import inspect

from atrous.store.database import Database


def test_three_tables_know_when_their_things_were_deleted(database_url: str) -> None:
    database = Database(database_url)
    try:
        for revision, is_there in (("r0004", False), ("r0005", True)):
            database.migrate(revision)
            with database.read() as connection:
                for table in ("projects", "versions", "trainings"):
                    names = {column["name"] for column in inspect(connection).get_columns(table)}
                    assert ("emptied_at" in names) == is_there
    finally:
        database.close()
