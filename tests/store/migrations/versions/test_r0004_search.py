from sqlalchemy import text

from atrous.store.database import Database
from atrous.store.migrations.versions import r0003_trainings_and_trash, r0004_search

ROWS = """
INSERT INTO workspaces (id, slug, name, created_at) VALUES ('w', 'w', 'w', 0);
INSERT INTO projects (id, workspace_id, slug, name, kind, annotation, license, created_at,
    updated_at) VALUES ('p', 'w', 'p', 'p', 'k', 'a', 'l', 0, 0);
INSERT INTO batches (id, workspace_id, project_id, name, created_at)
    VALUES ('b', 'w', 'p', 'b', 0);
INSERT INTO images (id, workspace_id, project_id, batch_id, name, digest, thumb_digest,
    media_type, size_bytes, height, width, split, annotated, in_dataset, user_metadata,
    created_at) VALUES ('i', 'w', 'p', 'b', 'ÄHRE.jpg', 'd', 't', 'image/jpeg', 1, 1, 1,
    'train', TRUE, TRUE, '{}', 42.5);
INSERT INTO image_tags (image_id, tag, project_id) VALUES ('i', 'rain', 'p');
INSERT INTO label_classes (image_id, kind, number, project_id, pixels)
    VALUES ('i', 'label', 1, 'p', 9)
"""


def test_follows_the_third_revision() -> None:
    assert r0004_search.down_revision == r0003_trainings_and_trash.revision


def test_rows_of_before_are_found_as_new_ones(database_url: str) -> None:
    database = Database(database_url)
    database.migrate("r0003")
    with database.write() as connection:
        for statement in ROWS.split(";"):
            connection.execute(text(statement.replace(":", "\\:")))
    database.migrate()
    with database.read() as connection:
        query = text("SELECT folded_name FROM images")
        assert connection.execute(query).scalar() == "ähre.jpg"
        for table in ("image_tags", "label_classes"):
            query = text(f"SELECT uploaded_at FROM {table}")
            assert connection.execute(query).scalar() == 42.5
    database.close()
