"""Projects, versions, photos and tasks as the JSON that clients read; the names are theirs."""

from collections.abc import Sequence
from typing import Any

from atrous.domain.nesting import is_deeper
from atrous.images.draw import class_colors
from atrous.server.platform.served_models import serving_models
from atrous.server.platform.training_descriptions import describe_state
from atrous.store import Store
from atrous.store.images import MAX_METADATA_LEVELS, Image
from atrous.store.jobs import Job, why_not_made
from atrous.store.projects import Project, ProjectCounts
from atrous.store.versions import Version
from atrous.store.workspaces import Workspace

KIND = "semantic-segmentation"
TOO_DEEP = "nested too deep to be shown; remove this key, or set it anew"
# Of tasks, where clients have another word than the store.
STATUSES = {"waiting": "pending", "finished": "completed", "cancelled": "failed"}


def describe_workspace(workspace: Workspace) -> dict[str, Any]:
    """A workspace, without its projects."""
    return {"name": workspace.name, "url": workspace.slug, "members": 1}


def describe_project(store: Store, workspace: Workspace, project: Project) -> dict[str, Any]:
    """A project with its counts. Reads the store."""
    return _described_project(workspace, project, store.projects.counts(project))


def describe_projects(store: Store, workspace: Workspace) -> list[dict[str, Any]]:
    """All projects of a workspace. Reads the store, a few times for however many."""
    there = store.projects.list(workspace.id)
    counts = store.projects.counts_of(there)
    return [_described_project(workspace, project, counts[project.id]) for project in there]


def _described_project(
    workspace: Workspace, project: Project, counts: ProjectCounts
) -> dict[str, Any]:
    return {
        "id": f"{workspace.slug}/{project.slug}",
        "type": project.kind,
        "name": project.name,
        "annotation": project.annotation,
        "license": project.license,
        "created": project.created_at,
        "updated": project.updated_at,
        "images": counts.images,
        "unannotated": counts.unannotated,
        "versions": counts.versions,
        "public": False,
        "splits": counts.splits,
        "classes": counts.classes,
        "colors": colors_of(list(counts.classes)),
    }


def colors_of(class_names: list[str]) -> dict[str, str]:
    """The colour of each class, background left out: the same in overlays and here.

    >>> list(colors_of(["road"]))
    ['road']
    """
    palette = class_colors(len(class_names) + 1)[1:]
    return {
        name: "#{:02X}{:02X}{:02X}".format(*(int(channel) for channel in color))
        for name, color in zip(class_names, palette, strict=True)
    }


def describe_version(
    store: Store, workspace: Workspace, project: Project, version: Version, origin: str
) -> dict[str, Any]:
    """A version with its trainings. Reads the store; `origin` is how clients reach it."""
    return describe_versions(store, workspace, project, [version], origin)[0]


def describe_versions(
    store: Store, workspace: Workspace, project: Project, versions: Sequence[Version], origin: str
) -> list[dict[str, Any]]:
    """Versions of one project. Reads the store, a few times for however many."""
    trainings = store.trainings.of_versions(versions)
    exports = store.exports.ready_formats(versions)
    models = serving_models(store, workspace, project) if any(trainings.values()) else {}
    return [
        {
            **_described_version(workspace, project, version),
            "exports": exports[version.id],
            **describe_state(trainings[version.id], models, origin),
        }
        for version in versions
    ]


def _described_version(workspace: Workspace, project: Project, version: Version) -> dict[str, Any]:
    return {
        "id": f"{workspace.slug}/{project.slug}/{version.number}",
        "name": version.name,
        "created": version.created_at,
        "images": version.images,
        "splits": version.splits,
        "preprocessing": enabled(version.preprocessing),
        "augmentation": enabled(version.augmentation),
        "classes": list(version.class_names),
        "seed": version.seed,
        "generating": version.state == "generating",
        "progress": version.progress,
        **({"error": version.error} if version.state == "failed" else {}),
    }


def enabled(steps: dict[str, Any]) -> dict[str, Any]:
    """Steps as they are shown: each with `enabled`, whatever way it was asked for.

    >>> enabled({"auto-orient": True, "resize": {"width": 64}})
    {'auto-orient': {'enabled': True}, 'resize': {'enabled': True, 'width': 64}}
    """
    return {
        name: {"enabled": bool(options.get("enabled", True)), **options}
        if isinstance(options, dict)
        else {"enabled": bool(options)}
        for name, options in steps.items()
    }


def describe_image(image: Image, class_names: tuple[str, ...]) -> dict[str, Any]:
    """A photo as searches show it, with every field that they can ask for."""
    return {
        "id": image.id,
        "name": image.name,
        "created": round(image.created_at * 1000),
        "labels": list(class_names),
        "split": image.split,
        "tags": list(image.tags),
        "owner": image.workspace_id,
        "annotations": {"count": len(class_names), "classes": dict.fromkeys(class_names, 1)},
        "user_metadata": _shown_metadata(image.user_metadata),
        "width": image.width,
        "height": image.height,
        "in_dataset": image.in_dataset,
        "batch": image.batch_id,
        "mediaType": "image",
    }


def _shown_metadata(metadata: dict[str, Any]) -> dict[str, Any]:
    """The metadata, of which older releases let in more levels than an answer can have."""
    return {
        key: TOO_DEEP if is_deeper(value, MAX_METADATA_LEVELS) else value
        for key, value in metadata.items()
    }


def describe_task(job: Job, total: int, running: str = "running") -> dict[str, Any]:
    """A job as clients ask after it: how far, of `total` steps, and what came of it or why not.

    running: the word for one that is in work.
    """
    status = running if job.state == "running" else STATUSES.get(job.state, job.state)
    done = total if job.state == "finished" else job.progress.get("done", 0)
    answer = {"taskId": job.id, "status": status, "progress": {"current": done, "total": total}}
    if job.state == "finished":
        answer["result"] = job.result
    why = why_not_made(job.state, job.error)
    if why:
        answer["error"] = why
    return answer
