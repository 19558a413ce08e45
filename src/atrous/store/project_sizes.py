"""How large the photos of a project are."""

from dataclasses import dataclass

from sqlalchemy import func, select

from atrous.store.database import Database
from atrous.store.dataset_tables import images
from atrous.store.projects import Project

SIZES_SHOWN = 20


@dataclass(frozen=True)
class ProjectSizes:
    """Width, height and number of the photos of the most frequent sizes."""

    most_frequent: tuple[tuple[int, int, int], ...]
    different: int  # sizes in all


class SizesOfProjects:
    """Counts photos by size."""

    def __init__(self, database: Database) -> None:
        """Work on an open, migrated database."""
        self._database = database

    def of(self, project: Project) -> ProjectSizes:
        """Count the photos of a project, the most frequent size first."""
        query = (
            select(images.c.width, images.c.height, func.count())
            .where(images.c.project_id == project.id)
            .group_by(images.c.width, images.c.height)
            .order_by(func.count().desc(), images.c.width, images.c.height)
        )
        with self._database.read() as connection:
            rows = [(int(row[0]), int(row[1]), int(row[2])) for row in connection.execute(query)]
        return ProjectSizes(tuple(rows[:SIZES_SHOWN]), len(rows))
