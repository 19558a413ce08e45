"""Several trainings and models per version, evaluations, and the trash."""

import sqlalchemy as sa
from alembic import op

revision = "r0003"
down_revision = "r0002"


def upgrade() -> None:
    """Add columns with what existing rows mean by them, and one table."""
    for table in ("projects", "versions"):
        op.add_column(table, sa.Column("trashed_at", sa.Double))
    _widen_trainings()
    _widen_models()
    op.create_table(
        "evaluations",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("workspace_id", sa.String(32), nullable=False),
        sa.Column("project_id", sa.String(32), nullable=False),
        sa.Column("version_id", sa.String(32), nullable=False),
        sa.Column("training_id", sa.String(32), nullable=False),
        sa.Column("job_id", sa.String(32), nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_evaluations"),
        *(
            sa.ForeignKeyConstraint(
                [f"{name}_id"], [f"{name}s.id"], name=f"fk_evaluations_{name}_id"
            )
            for name in ("workspace", "project", "version", "training", "job")
        ),
    )
    op.create_index("ix_evaluations_workspace_id", "evaluations", ["workspace_id", "created_at"])
    op.create_index("ix_evaluations_training_id", "evaluations", ["training_id"])


def _widen_trainings() -> None:
    op.add_column("trainings", sa.Column("number", sa.Integer, nullable=False, server_default="1"))
    op.add_column("trainings", sa.Column("stop_asked_at", sa.Double))
    op.add_column("trainings", sa.Column("trashed_at", sa.Double))
    trainings = sa.table(
        "trainings",
        sa.column("id"),
        sa.column("version_id"),
        sa.column("created_at"),
        sa.column("number"),
    )
    connection = op.get_bind()
    order = (trainings.c.created_at, trainings.c.id)
    rows = connection.execute(
        sa.select(
            trainings.c.id,
            sa.func.row_number().over(partition_by=trainings.c.version_id, order_by=order),
        )
    ).all()
    for training_id, number in rows:
        connection.execute(
            trainings.update().where(trainings.c.id == training_id).values(number=number)
        )


def _widen_models() -> None:
    """One model per version becomes one per run of a training on it."""
    with op.batch_alter_table("models") as models:
        models.add_column(sa.Column("run", sa.Integer, nullable=False, server_default="1"))
        models.add_column(sa.Column("training_id", sa.String(32)))
        models.add_column(sa.Column("trashed_by", sa.String(32)))
        models.drop_constraint("uq_models_project_version", type_="unique")
        models.create_unique_constraint(
            "uq_models_project_version_run", ["project", "version", "run"]
        )
    op.create_index("ix_models_training_id", "models", ["training_id"])
