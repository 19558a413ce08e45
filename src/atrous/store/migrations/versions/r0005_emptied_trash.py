"""What was in the trash and is deleted for good keeps its row, so that its number stays its own."""

import sqlalchemy as sa
from alembic import op

revision = "r0005"
down_revision = "r0004"


def upgrade() -> None:
    """Add the time of that."""
    for table in ("projects", "versions", "trainings"):
        op.add_column(table, sa.Column("emptied_at", sa.Double))
