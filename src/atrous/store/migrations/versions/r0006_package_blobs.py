"""Files of model packages are blobs; blobs that are being deleted are marked."""

import sqlalchemy as sa
from alembic import op

revision = "r0006"
down_revision = "r0005"


def upgrade() -> None:
    """Add both tables. Packages that are there get their rows when their folder is taken over."""
    op.create_table(
        "model_files",
        sa.Column("folder", sa.String(32), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(["folder"], ["models.folder"], "fk_model_files_folder"),
        sa.PrimaryKeyConstraint("folder", "name", name="pk_model_files"),
    )
    op.create_table(
        "doomed_blobs",
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("marked_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_doomed_blobs"),
    )
