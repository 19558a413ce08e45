"""The tables of the platform: projects, photos, labels, versions, exports and trainings."""

import sqlalchemy as sa
from alembic import op

revision = "r0002"
down_revision = "r0001"


def upgrade() -> None:
    """Create the tables."""
    _create_projects()
    _create_images()
    _create_labels()
    _create_versions()
    _create_frozen()
    _create_outcomes()


def _foreign_key(table: str, column: str, target: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [target], name=f"fk_{table}_{column}")


def _create_projects() -> None:
    op.create_table(
        "projects",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("workspace_id", sa.String(32), nullable=False),
        sa.Column("slug", sa.String(63), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("annotation", sa.String(200), nullable=False),
        sa.Column("license", sa.String(200), nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("updated_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_projects"),
        _foreign_key("projects", "workspace_id", "workspaces.id"),
        sa.UniqueConstraint("slug", name="uq_projects_slug"),
    )
    op.create_index("ix_projects_workspace_id", "projects", ["workspace_id"])
    op.create_table(
        "project_classes",
        sa.Column("project_id", sa.String(32), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.PrimaryKeyConstraint("project_id", "number", name="pk_project_classes"),
        _foreign_key("project_classes", "project_id", "projects.id"),
        sa.UniqueConstraint("project_id", "name", name="uq_project_classes_project_id_name"),
    )
    op.create_table(
        "batches",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("workspace_id", sa.String(32), nullable=False),
        sa.Column("project_id", sa.String(32), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_batches"),
        _foreign_key("batches", "workspace_id", "workspaces.id"),
        _foreign_key("batches", "project_id", "projects.id"),
        sa.UniqueConstraint("project_id", "name", name="uq_batches_project_id_name"),
    )


def _create_images() -> None:
    op.create_table(
        "images",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("workspace_id", sa.String(32), nullable=False),
        sa.Column("project_id", sa.String(32), nullable=False),
        sa.Column("batch_id", sa.String(32), nullable=False),
        sa.Column("name", sa.String(300), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("thumb_digest", sa.String(64), nullable=False),
        sa.Column("media_type", sa.String(40), nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("height", sa.Integer, nullable=False),
        sa.Column("width", sa.Integer, nullable=False),
        sa.Column("split", sa.String(8), nullable=False),
        sa.Column("annotated", sa.Boolean, nullable=False),
        sa.Column("in_dataset", sa.Boolean, nullable=False),
        sa.Column("user_metadata", sa.JSON, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_images"),
        _foreign_key("images", "project_id", "projects.id"),
        _foreign_key("images", "workspace_id", "workspaces.id"),
        _foreign_key("images", "batch_id", "batches.id"),
        sa.UniqueConstraint("project_id", "digest", name="uq_images_project_id_digest"),
    )
    op.create_index("ix_images_created", "images", ["project_id", "created_at", "id"])
    op.create_index("ix_images_batch_id", "images", ["batch_id"])
    op.create_index("ix_images_state", "images", ["project_id", "in_dataset", "annotated", "split"])
    op.create_table(
        "image_tags",
        sa.Column("image_id", sa.String(32), nullable=False),
        sa.Column("tag", sa.String(100), nullable=False),
        sa.Column("project_id", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("image_id", "tag", name="pk_image_tags"),
        _foreign_key("image_tags", "project_id", "projects.id"),
        _foreign_key("image_tags", "image_id", "images.id"),
    )
    op.create_index("ix_image_tags_project_id_tag", "image_tags", ["project_id", "tag"])


def _create_labels() -> None:
    op.create_table(
        "labels",
        sa.Column("image_id", sa.String(32), nullable=False),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("workspace_id", sa.String(32), nullable=False),
        sa.Column("project_id", sa.String(32), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("name", sa.String(300), nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("image_id", "kind", name="pk_labels"),
        _foreign_key("labels", "image_id", "images.id"),
        _foreign_key("labels", "workspace_id", "workspaces.id"),
        _foreign_key("labels", "project_id", "projects.id"),
    )
    op.create_table(
        "label_classes",
        sa.Column("image_id", sa.String(32), nullable=False),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("project_id", sa.String(32), nullable=False),
        sa.Column("pixels", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("image_id", "kind", "number", name="pk_label_classes"),
        _foreign_key("label_classes", "image_id", "images.id"),
        _foreign_key("label_classes", "project_id", "projects.id"),
    )
    op.create_index("ix_label_classes_number", "label_classes", ["project_id", "kind", "number"])


def _create_versions() -> None:
    op.create_table(
        "versions",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("workspace_id", sa.String(32), nullable=False),
        sa.Column("project_id", sa.String(32), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("seed", sa.Integer, nullable=False),
        sa.Column("class_names", sa.JSON, nullable=False),
        sa.Column("preprocessing", sa.JSON, nullable=False),
        sa.Column("augmentation", sa.JSON, nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("images", sa.Integer, nullable=False),
        sa.Column("splits", sa.JSON, nullable=False),
        sa.Column("job_id", sa.String(32), nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_versions"),
        _foreign_key("versions", "project_id", "projects.id"),
        _foreign_key("versions", "job_id", "jobs.id"),
        _foreign_key("versions", "workspace_id", "workspaces.id"),
        sa.UniqueConstraint("project_id", "number", name="uq_versions_project_id_number"),
    )


def _create_frozen() -> None:
    op.create_table(
        "version_sources",
        sa.Column("version_id", sa.String(32), nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("name", sa.String(300), nullable=False),
        sa.Column("split", sa.String(8), nullable=False),
        sa.Column("media_type", sa.String(40), nullable=False),
        sa.Column("image_digest", sa.String(64), nullable=False),
        sa.Column("label_digest", sa.String(64), nullable=False),
        sa.Column("height", sa.Integer, nullable=False),
        sa.Column("width", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("version_id", "position", name="pk_version_sources"),
        _foreign_key("version_sources", "version_id", "versions.id"),
    )
    op.create_table(
        "version_images",
        sa.Column("version_id", sa.String(32), nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("name", sa.String(300), nullable=False),
        sa.Column("split", sa.String(8), nullable=False),
        sa.Column("media_type", sa.String(40), nullable=False),
        sa.Column("image_digest", sa.String(64), nullable=False),
        sa.Column("label_digest", sa.String(64), nullable=False),
        sa.Column("height", sa.Integer, nullable=False),
        sa.Column("width", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("version_id", "position", name="pk_version_images"),
        _foreign_key("version_images", "version_id", "versions.id"),
    )


def _create_outcomes() -> None:
    op.create_table(
        "exports",
        sa.Column("version_id", sa.String(32), nullable=False),
        sa.Column("format", sa.String(40), nullable=False),
        sa.Column("job_id", sa.String(32), nullable=False),
        sa.Column("digest", sa.String(64)),
        sa.Column("size_bytes", sa.BigInteger),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("version_id", "format", name="pk_exports"),
        _foreign_key("exports", "job_id", "jobs.id"),
        _foreign_key("exports", "version_id", "versions.id"),
    )
    op.create_table(
        "trainings",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("workspace_id", sa.String(32), nullable=False),
        sa.Column("project_id", sa.String(32), nullable=False),
        sa.Column("version_id", sa.String(32), nullable=False),
        sa.Column("job_id", sa.String(32), nullable=False),
        sa.Column("model_type", sa.String(100), nullable=False),
        sa.Column("settings", sa.JSON, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_trainings"),
        _foreign_key("trainings", "project_id", "projects.id"),
        _foreign_key("trainings", "version_id", "versions.id"),
        _foreign_key("trainings", "workspace_id", "workspaces.id"),
        _foreign_key("trainings", "job_id", "jobs.id"),
    )
    op.create_index("ix_trainings_version_id", "trainings", ["version_id"])
    op.create_table(
        "secrets",
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_secrets"),
    )
