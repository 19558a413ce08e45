"""`atrous clean`: delete what nothing refers to any more."""

from typing import Annotated

import typer

from atrous.store.emptying import KEPT_DAYS
from atrous.store.leftovers import GRACE_S, MIN_GRACE_S

SECONDS_PER_HOUR = 3600.0
BYTES_PER_MIB = 1 << 20


def clean_command(
    older_than_hours: Annotated[
        float,
        typer.Option(
            min=MIN_GRACE_S / SECONDS_PER_HOUR,
            help="Leave alone what is younger: it may belong to something that is not finished.",
        ),
    ] = GRACE_S / SECONDS_PER_HOUR,
    trash_days: Annotated[
        float,
        typer.Option(
            min=0.0, help="Leave in the trash what was put there later than so many days."
        ),
    ] = KEPT_DAYS,
    dry_run: Annotated[bool, typer.Option(help="Only say what would be deleted.")] = False,
) -> None:
    """Empty the trash of what lies there for long; delete photos, labels and exports that nothing
    refers to any more, and unfinished files.

    Removed photos leave files behind, and so do crashes. Servers and workers may run meanwhile;
    a worker does the same once a day. Model packages that an older release published are brought
    to the stored files, from which servers on other machines fetch them.

    \b
    Example:  atrous clean --dry-run
    """
    from atrous.store import home_folder, open_store

    with open_store(home_folder()) as store:
        taken = 0 if dry_run else store.models.take_over_packages()
        emptied = store.emptying.remove(kept_days=trash_days, only_look=dry_run)
        removed = store.leftovers.remove(
            grace_s=older_than_hours * SECONDS_PER_HOUR, only_look=dry_run
        )
    if taken:
        print(f"brought {taken} model packages, published by an older release, into the blobs")
    if emptied.total:
        print(
            f"{'would empty' if dry_run else 'emptied'} the trash of {emptied.projects} projects, "
            f"{emptied.versions} versions and {emptied.trainings} trainings"
        )
    for path in removed.files:
        print(path)
    print(
        f"{'would delete' if dry_run else 'deleted'} {removed.blobs} stored files "
        f"({removed.size_bytes / BYTES_PER_MIB:.1f} MiB) and {len(removed.files)} others"
    )
