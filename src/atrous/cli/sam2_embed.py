"""`atrous sam2 embed`: photos of a folder or a project, embedded ahead of the first click."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from atrous.jobs.sam2_embed import PhotoSource
    from atrous.store import Store


def embed_command(
    folder: Annotated[
        Path | None,
        typer.Argument(help="Photos, also in folders below.", exists=True, file_okay=False),
    ] = None,
    project: Annotated[
        str | None, typer.Option(help="Instead of a folder: a project, by its short name.")
    ] = None,
    model: Annotated[
        str, typer.Option(help="Its size, the newest version there or with -2.0 or -2.1 behind.")
    ] = "hiera_tiny",
    workspace: Annotated[
        str, typer.Option(help="Whose keys find the embeddings; its short name.")
    ] = "default",
) -> None:
    """Embed photos, so that the server answers the first click on each at once.

    The embeddings lie in the data folder, 8.4 MB each, where a server finds them: also one that
    runs already. Stopped and started again, it goes on where it was. As the server, it follows
    ENGINE, PRECISION, MODEL_CACHE_DIR, MAX_IMAGE_PIXELS and SAM2_EMBEDDING_DISK_BYTES.

    \b
    Example:  atrous sam2 embed photos/ --model hiera_small
              atrous sam2 embed --project roads
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    from atrous.jobs.sam2_embed import EmbedProgress, embed_photos
    from atrous.sam2.embedding_cache import EmbeddingCache
    from atrous.server.sam2_services import open_sam2_models
    from atrous.server.settings import settings_from_environment
    from atrous.store import home_folder, open_store

    settings = settings_from_environment()
    limit = settings.sam2_embedding_disk_bytes
    with open_store(home_folder()) as store:
        workspaces = store.workspaces
        owner = workspaces.default() if workspace == "default" else workspaces.get(workspace)
        photos = _photos(store, owner.id, folder, project, settings.max_image_pixels)
        segmenter = open_sam2_models(settings, store.home).request(model).result()
        cache = EmbeddingCache(max_bytes=1, folder=store.home.sam2_embeddings, max_disk_bytes=limit)
        columns = (BarColumn(), MofNCompleteColumn(), "photos", TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("embed", total=len(photos))

            def show(progress: EmbedProgress) -> None:
                bar.update(task, completed=progress.done)

            done = embed_photos(
                photos,
                segmenter,
                cache,
                workspace_id=owner.id,
                max_disk_bytes=limit,
                report=show,
            )
    print(f"{done.embedded} embedded, {done.there} were there, {done.unreadable} can't be read")
    if done.unreadable:
        raise typer.Exit(1)


def _photos(
    store: Store, workspace_id: str, folder: Path | None, project: str | None, max_pixels: int
) -> list[PhotoSource]:
    from atrous.jobs.sam2_embed import find_photos, photos_of_project

    if (folder is None) == (project is None):
        raise typer.BadParameter("give a folder of photos, or --project and no folder")
    if folder is not None:
        return find_photos(folder, max_pixels=max_pixels)
    return photos_of_project(store, store.projects.get(workspace_id, str(project)))
