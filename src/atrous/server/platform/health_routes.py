"""`GET /{workspace}/{project}/health`: what is in a data set, and what it lacks."""

from typing import Any

from fastapi import Request, Response

from atrous.server.errors import json_response
from atrous.server.platform.access import NamedProject
from atrous.server.platform.answer_schemas import answered_by
from atrous.server.platform.project_schemas import Health
from atrous.server.platform.routing import platform_router
from atrous.server.services import services_of
from atrous.store.project_sizes import ProjectSizes
from atrous.store.projects import ProjectCounts

router = platform_router("projects")
RARE_SHARE = 0.1  # of the photos that show the most frequent class


@router.get(
    "/{workspace:slug}/{project:slug}/health",
    summary="The health of a data set",
    responses=answered_by(Health),
)
async def get_health(request: Request, owned: NamedProject) -> Response:
    """Answer with counts by class, split and size, and with warnings. Counted anew every time."""
    services = services_of(request)

    def read() -> dict[str, Any]:
        counts = services.store.projects.counts(owned.project)
        return describe_health(counts, services.store.project_sizes.of(owned.project))

    return json_response(await services.look_up(read))


def describe_health(counts: ProjectCounts, sizes: ProjectSizes) -> dict[str, Any]:
    """The figures under the names that the official package prints."""
    most = max(counts.classes.values(), default=0)
    return {
        "images": counts.images,
        "annotated": counts.images - counts.unannotated,
        "unannotated": counts.unannotated,
        "splits": counts.splits,
        "classes": [
            {
                "name": name,
                "images": count,
                "balance": "rare" if count < RARE_SHARE * most else "fine",
            }
            for name, count in counts.classes.items()
        ],
        "dimensions": {
            "sizes": [
                {"width": width, "height": height, "images": count}
                for width, height, count in sizes.most_frequent
            ],
            "differentSizes": sizes.different,
        },
        "warnings": warnings_of(counts),
    }


def warnings_of(counts: ProjectCounts) -> list[str]:
    """What would make a model of this data set worse than it could be."""
    found = [
        f"no labelled photo is in the split '{split}'"
        for split in ("train", "valid")
        if not counts.splits.get(split)
    ]
    if counts.unannotated:
        found.append(f"{counts.unannotated} photos have no label, and are left out of versions")
    most = max(counts.classes.values(), default=0)
    found += [
        f"class '{name}' is on {count} photos, the most frequent one on {most}"
        for name, count in counts.classes.items()
        if count < RARE_SHARE * most
    ]
    return found
