"""The tables of the platform: projects, photos, labels, versions and trainings.

Every row names its workspace or hangs on one that does, and every query asks for it: a workspace
is a wall.
"""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from atrous.store.database import metadata

DIGEST_LENGTH = 64  # SHA-256 in hexadecimal
ORDER = ("created_at", "id")  # of pages
FILTERS = ("split", "annotated", "in_dataset", "folded_name")


def _id() -> "Column[str]":
    return Column("id", String(32), primary_key=True)


def _workspace() -> "Column[str]":
    return Column("workspace_id", String(32), ForeignKey("workspaces.id"), nullable=False)


def _project() -> "Column[str]":
    return Column("project_id", String(32), ForeignKey("projects.id"), nullable=False)


def _emptied_at() -> "Column[float]":
    """When what lay in the trash was deleted. Its row stays, so that no number is given again."""
    return Column("emptied_at", Double)


def _uploaded_at() -> "Column[float]":
    """The photo's `created_at`, which never changes: so these indices have the order of pages."""
    return Column("uploaded_at", Double, nullable=False, server_default="0")


projects = Table(
    "projects",
    metadata,
    _id(),
    _workspace(),
    # In the whole store, as ids of models name a project and no workspace.
    Column("slug", String(63), nullable=False, unique=True),
    Column("name", String(200), nullable=False),
    Column("kind", String(40), nullable=False),
    Column("annotation", String(200), nullable=False),
    Column("license", String(200), nullable=False),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    Column("trashed_at", Double),
    _emptied_at(),
    Index("ix_projects_workspace_id", "workspace_id"),
)

project_classes = Table(
    "project_classes",
    metadata,
    Column("project_id", String(32), ForeignKey("projects.id"), primary_key=True),
    Column("number", Integer, primary_key=True),  # the pixel value; 0 is background, never here
    Column("name", String(200), nullable=False),
    UniqueConstraint("project_id", "name"),
)

batches = Table(
    "batches",
    metadata,
    _id(),
    _workspace(),
    _project(),
    Column("name", String(200), nullable=False),
    Column("created_at", Double, nullable=False),
    UniqueConstraint("project_id", "name"),
)

images = Table(
    "images",
    metadata,
    _id(),
    _workspace(),
    _project(),
    Column("batch_id", String(32), ForeignKey("batches.id"), nullable=False),
    Column("name", String(300), nullable=False),
    Column("digest", String(DIGEST_LENGTH), nullable=False),
    Column("thumb_digest", String(DIGEST_LENGTH), nullable=False),
    Column("media_type", String(40), nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("height", Integer, nullable=False),  # upright
    Column("width", Integer, nullable=False),
    Column("split", String(8), nullable=False),
    Column("annotated", Boolean, nullable=False),
    Column("in_dataset", Boolean, nullable=False),
    Column("user_metadata", JSON, nullable=False),
    Column("created_at", Double, nullable=False),
    # The name without case: databases fold other letters than A to Z differently, or not at all.
    Column("folded_name", Text, nullable=False, server_default=""),
    UniqueConstraint("project_id", "digest"),
    # Pages and counts of 100,000 photos are read from indices alone, in the order of pages.
    Index("ix_images_search", "project_id", *ORDER, "batch_id", *FILTERS),
    Index("ix_images_batch", "project_id", "batch_id", *ORDER, *FILTERS),
    Index("ix_images_state", "project_id", "in_dataset", "annotated", "split"),
)

image_tags = Table(
    "image_tags",
    metadata,
    Column("image_id", String(32), ForeignKey("images.id"), primary_key=True),
    Column("tag", String(100), primary_key=True),
    _project(),
    _uploaded_at(),
    Index("ix_image_tags_search", "project_id", "tag", "uploaded_at", "image_id"),
)

labels = Table(
    "labels",
    metadata,
    Column("image_id", String(32), ForeignKey("images.id"), primary_key=True),
    Column("kind", String(10), primary_key=True),  # label, or prediction: a suggestion
    _workspace(),
    _project(),
    Column("digest", String(DIGEST_LENGTH), nullable=False),  # of a PNG of class numbers
    Column("name", String(300), nullable=False),  # of the file that it came in
    Column("created_at", Double, nullable=False),
)

label_classes = Table(
    "label_classes",
    metadata,
    Column("image_id", String(32), ForeignKey("images.id"), primary_key=True),
    Column("kind", String(10), primary_key=True),
    Column("number", Integer, primary_key=True),
    _project(),
    Column("pixels", BigInteger, nullable=False),
    _uploaded_at(),
    Index("ix_label_classes_search", "project_id", "kind", "number", "uploaded_at", "image_id"),
)

versions = Table(
    "versions",
    metadata,
    _id(),
    _workspace(),
    _project(),
    Column("number", Integer, nullable=False),
    Column("name", String(200), nullable=False),
    Column("seed", Integer, nullable=False),
    Column("class_names", JSON, nullable=False),  # by number, background first
    Column("preprocessing", JSON, nullable=False),
    Column("augmentation", JSON, nullable=False),
    Column("state", String(12), nullable=False),  # generating, ready or failed
    Column("images", Integer, nullable=False),
    Column("splits", JSON, nullable=False),
    Column("job_id", String(32), ForeignKey("jobs.id"), nullable=False),
    Column("created_at", Double, nullable=False),
    Column("trashed_at", Double),
    _emptied_at(),
    UniqueConstraint("project_id", "number"),
)


def _frozen(name: str) -> Table:
    """Photos with their labels as they were: no id of `images`, which may go."""
    return Table(
        name,
        metadata,
        Column("version_id", String(32), ForeignKey("versions.id"), primary_key=True),
        Column("position", Integer, primary_key=True),
        Column("name", String(300), nullable=False),
        Column("split", String(8), nullable=False),
        Column("media_type", String(40), nullable=False),
        Column("image_digest", String(DIGEST_LENGTH), nullable=False),
        Column("label_digest", String(DIGEST_LENGTH), nullable=False),
        Column("height", Integer, nullable=False),
        Column("width", Integer, nullable=False),
    )


version_sources = _frozen("version_sources")  # what a version was made of
version_images = _frozen("version_images")  # what was made of it

exports = Table(
    "exports",
    metadata,
    Column("version_id", String(32), ForeignKey("versions.id"), primary_key=True),
    Column("format", String(40), primary_key=True),
    Column("job_id", String(32), ForeignKey("jobs.id"), nullable=False),
    Column("digest", String(DIGEST_LENGTH)),  # of the zip; none until it is whole
    Column("size_bytes", BigInteger),
    Column("created_at", Double, nullable=False),
)

trainings = Table(
    "trainings",
    metadata,
    _id(),
    _workspace(),
    _project(),
    Column("version_id", String(32), ForeignKey("versions.id"), nullable=False),
    Column("job_id", String(32), ForeignKey("jobs.id"), nullable=False),
    Column("model_type", String(100), nullable=False),
    Column("settings", JSON, nullable=False),  # as they were asked for
    Column("number", Integer, nullable=False, server_default="1"),  # of those on the version
    Column("created_at", Double, nullable=False),
    Column("stop_asked_at", Double),
    Column("trashed_at", Double),
    _emptied_at(),
    Index("ix_trainings_version_id", "version_id"),
)

evaluations = Table(
    "evaluations",
    metadata,
    _id(),
    _workspace(),
    _project(),
    Column("version_id", String(32), ForeignKey("versions.id"), nullable=False),
    Column("training_id", String(32), ForeignKey("trainings.id"), nullable=False),
    Column("job_id", String(32), ForeignKey("jobs.id"), nullable=False),
    Column("created_at", Double, nullable=False),
    Index("ix_evaluations_workspace_id", "workspace_id", "created_at"),
    Index("ix_evaluations_training_id", "training_id"),
)

secrets = Table(
    "secrets",
    metadata,
    Column("name", String(100), primary_key=True),
    Column("value", Text, nullable=False),
    Column("created_at", Double, nullable=False),
)
