from sqlalchemy import inspect

from atrous.store.database import Database, metadata

NEW = ("doomed_blobs", "model_files")


def test_two_tables_come_as_they_are_described(database_url: str) -> None:
    database = Database(database_url)
    try:
        for revision, is_there in (("r0005", False), ("r0006", True)):
            database.migrate(revision)
            with database.read() as connection:
                names = set(inspect(connection).get_table_names())
            assert names.issuperset(NEW) == is_there
        with database.read() as connection:
            for name in NEW:
                columns = {column["name"] for column in inspect(connection).get_columns(name)}
                assert columns == set(metadata.tables[name].columns.keys())
    finally:
        database.close()
