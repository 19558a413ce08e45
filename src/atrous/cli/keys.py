"""`atrous keys`: create, list and revoke API keys."""

import json
import time
from datetime import datetime, timezone
from typing import Annotated

import typer

from atrous.cli.tables import print_table

keys_app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Create, list and revoke API keys.",
)
SECONDS_PER_DAY = 86_400


@keys_app.command()
def create(
    name: Annotated[str, typer.Argument(help="What the key is for, as `laptop`.")],
    scope: Annotated[
        list[str] | None,
        typer.Option(
            help="What it may do: infer asks models; write changes projects, photos, labels, "
            "versions and trainings; admin drops networks from a server's memory. May be given "
            "several times; all three where it is not given."
        ),
    ] = None,
    days: Annotated[
        float | None, typer.Option(help="Expire after so many days; never if not given.")
    ] = None,
    workspace: Annotated[
        str,
        typer.Option(
            help="The workspace whose projects, models and photos it opens, and no other's; made "
            "where it is not there."
        ),
    ] = "default",
) -> None:
    """Create a key and print it, alone, on standard output. It is shown this once.

    \b
    Example:  KEY=$(atrous keys create laptop)
              atrous keys create forest-team --workspace forest --scope infer --days 90
    """
    from atrous.domain.errors import BadInput
    from atrous.server.platform.paths import RESERVED
    from atrous.store import home_folder, open_store
    from atrous.store.api_keys import ALL_SCOPES

    if days is not None and not days > 0:
        raise typer.BadParameter(f"--days is {days:g}, an end that is past; give more than 0")
    if workspace in RESERVED:
        raise BadInput(f"workspace {workspace!r} begins paths of the server; choose another name")
    expires_at = None if days is None else time.time() + days * SECONDS_PER_DAY
    with open_store(home_folder()) as store:
        created = store.api_keys.create(
            name,
            store.workspaces.ensure(workspace),
            scopes=scope or ALL_SCOPES,
            expires_at=expires_at,
        )
    print(created.plain_text)


@keys_app.command("list")
def list_keys(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the keys, revoked ones included. Of the keys themselves only the start is known.

    \b
    Example:  atrous keys list
    """
    from atrous.store import home_folder, open_store

    with open_store(home_folder()) as store:
        keys = store.api_keys.list()
        workspaces = {each.id: each.slug for each in store.workspaces.list()}
    now = time.time()
    states = [
        "revoked" if key.revoked_at else "active" if key.active(now) else "expired" for key in keys
    ]
    if as_json:
        listed = [
            {**vars(key), "workspace": workspaces[key.workspace_id], "state": state}
            for key, state in zip(keys, states, strict=True)
        ]
        print(json.dumps(listed, indent=2))
        return
    rows = [
        [
            key.name,
            key.id,
            key.prefix + "...",
            workspaces[key.workspace_id],
            ",".join(key.scopes),
            _day(key.created_at),
            _day(key.expires_at) if key.expires_at else "never",
            state,
        ]
        for key, state in zip(keys, states, strict=True)
    ]
    print_table(["NAME", "ID", "KEY", "WORKSPACE", "SCOPES", "CREATED", "EXPIRES", "STATE"], rows)


@keys_app.command()
def revoke(
    name: Annotated[
        str, typer.Argument(help="The key's name or id, as `atrous keys list` has it.")
    ],
) -> None:
    """Make a key useless, within half a second also for servers that are running.

    \b
    Example:  atrous keys revoke laptop
    """
    from atrous.store import home_folder, open_store

    with open_store(home_folder()) as store:
        key = store.api_keys.revoke(name)
    print(f"revoked {key.name} ({key.prefix}...)")


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, tz=timezone.utc).strftime("%Y-%m-%d")
