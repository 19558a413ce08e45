"""Indices that a page of photos is read from alone, for 100,000 photos and more."""

import sqlalchemy as sa
from alembic import op

revision = "r0004"
down_revision = "r0003"

ROWS_AT_ONCE = 1000


def upgrade() -> None:
    """Repeat names without case, and times of upload beside tags and classes; exchange indices."""
    op.add_column("images", sa.Column("folded_name", sa.Text, nullable=False, server_default=""))
    _fold_names()
    for table in ("image_tags", "label_classes"):
        column = sa.Column("uploaded_at", sa.Double, nullable=False, server_default="0")
        op.add_column(table, column)
        op.execute(
            f"UPDATE {table} SET uploaded_at = "
            f"(SELECT created_at FROM images WHERE images.id = {table}.image_id)"
        )
    for table, name in (
        ("images", "ix_images_created"),
        ("images", "ix_images_batch_id"),
        ("image_tags", "ix_image_tags_project_id_tag"),
        ("label_classes", "ix_label_classes_number"),
    ):
        op.drop_index(name, table)
    order = ["created_at", "id"]
    filters = ["split", "annotated", "in_dataset", "folded_name"]
    op.create_index("ix_images_search", "images", ["project_id", *order, "batch_id", *filters])
    op.create_index("ix_images_batch", "images", ["project_id", "batch_id", *order, *filters])
    order = ["uploaded_at", "image_id"]
    op.create_index("ix_image_tags_search", "image_tags", ["project_id", "tag", *order])
    op.create_index(
        "ix_label_classes_search", "label_classes", ["project_id", "kind", "number", *order]
    )


def _fold_names() -> None:
    """In Python: databases fold other letters than A to Z differently, or not at all."""
    images = sa.table("images", sa.column("id"), sa.column("name"), sa.column("folded_name"))
    change = (
        images.update()
        .where(images.c.id == sa.bindparam("image"))
        .values(folded_name=sa.bindparam("folded"))
    )
    connection = op.get_bind()
    rows = connection.execute(sa.select(images.c.id, images.c.name)).all()
    for start in range(0, len(rows), ROWS_AT_ONCE):
        folded = [
            {"image": image_id, "folded": name.casefold()}
            for image_id, name in rows[start : start + ROWS_AT_ONCE]
        ]
        connection.execute(change, folded)
