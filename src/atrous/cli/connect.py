"""`atrous connect`: point the official `roboflow` packages at this server."""

import json
import os
import shlex
import urllib.error
import urllib.request
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote, urlsplit

import typer

from atrous.disk.whole import write_whole
from atrous.domain.errors import BadInput, NotAllowed, NotFound

URL_NAMES = (
    "API_URL",
    "APP_URL",
    "UNIVERSE_URL",
    "SEMANTIC_SEGMENTATION_URL",
    "OBJECT_DETECTION_URL",
    "INSTANCE_SEGMENTATION_URL",
    "SERVERLESS_URL",
    "DEDICATED_DEPLOYMENT_URL",
)
KEY_NAME = "ROBOFLOW_API_KEY"
CONFIG_VARIABLE = "ROBOFLOW_CONFIG_DIR"  # the client's name for the path of its config file
PATIENCE_S = 10.0
LOOPBACK = ("localhost", "127.0.0.1", "::1")


def connect_command(
    url: Annotated[
        str | None, typer.Option(help="The server.  [else http://localhost and PORT, or 9001]")
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(help="An API key.  [else ROBOFLOW_API_KEY, or the key that `atrous up` made]"),
    ] = None,
    write: Annotated[
        bool, typer.Option("--write", help="Merge it into the client's config file instead.")
    ] = False,
) -> None:
    """Print what points the official `roboflow` package and command line at this server.

    The lines are for a shell. With --write they are kept in the client's config file, with the
    workspace of the key; what else is in it stays, and the old file is kept beside it.

    \b
    Example:  eval "$(atrous connect)"
              atrous connect --write
              atrous connect --url https://atrous.example.org --key $KEY --write
    """
    server, secret = checked_url(url or default_url()), key or default_key()
    if write:
        path = config_path()
        workspace = write_config(path, server, secret)
        print(f"{path} points at {server}, workspace {workspace}")
        return
    for line in shell_lines(server, secret):
        print(line)


def shell_lines(server: str, secret: str) -> list[str]:
    """What a shell reads, and programs that are started from it."""
    values = {**dict.fromkeys(URL_NAMES, server), KEY_NAME: secret}
    lines = [f"export {name}={shlex.quote(value)}" for name, value in values.items()]
    host = urlsplit(server).hostname
    if host in LOOPBACK:  # the client obeys proxy variables, also for this machine
        lines.append(f"export NO_PROXY=${{NO_PROXY:+$NO_PROXY,}}{host}")
    return lines


def write_config(path: Path, server: str, secret: str) -> str:
    """Merge server and key into the client's config file; gives the workspace of the key.

    Nothing is written where the server does not answer or does not know the key.
    """
    workspace = workspace_of(server, secret)
    target = path.resolve()  # a link stays one
    before = target.read_bytes() if target.exists() else None
    config = read_config(target, before)
    entry = {"url": workspace["url"], "name": workspace["name"], "apiKey": secret}
    config.update(
        {
            **dict.fromkeys(URL_NAMES, server),
            "RF_WORKSPACE": workspace["url"],
            "workspaces": {**config.get("workspaces", {}), workspace["url"]: entry},
        }
    )
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    mask = os.umask(0o077)  # it holds a key
    try:
        if before is not None:
            write_whole(target.with_name(target.name + ".bak"), before)
        write_whole(target, json.dumps(config, indent=2).encode() + b"\n")
    finally:
        os.umask(mask)
    return str(workspace["url"])


def read_config(path: Path, content: bytes | None) -> dict[str, Any]:
    """The client's config; BadInput for a file that is no JSON object."""
    try:
        config = json.loads(content) if content else {}
        if isinstance(config, dict) and isinstance(config.get("workspaces", {}), dict):
            return config
    except ValueError:
        pass
    raise BadInput(f"{path} is not the client's config, a JSON object; move it away and try again")


def workspace_of(server: str, secret: str) -> dict[str, str]:
    """Ask the server whose key it is; NotFound where none answers, NotAllowed for a wrong key."""
    slug = _ask(server, "POST", "/", secret).get("workspace")
    about = _ask(server, "GET", f"/{quote(str(slug), safe='')}", secret).get("workspace")
    if not isinstance(about, dict):
        raise NotFound(f"{server} does not answer like an atrous server; check the URL")
    return {"url": str(slug), "name": str(about.get("name") or slug)}


def _ask(server: str, method: str, path: str, secret: str) -> dict[str, Any]:
    header = {"Authorization": f"Bearer {secret}"}
    request = urllib.request.Request(server + path, method=method, headers=header)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=PATIENCE_S) as answer:
            content = json.load(answer)
    except urllib.error.HTTPError as error:
        if error.code in (401, 403):
            raise NotAllowed(
                f"{server} does not know this key; `atrous keys create NAME` makes one"
            ) from None
        raise NotFound(f"{server} answers {error.code}; check the URL") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise NotFound(
            f"no server answers at {server} ({reason}); start it with `atrous up`, or name "
            "another with --url"
        ) from None
    return content if isinstance(content, dict) else {}


def checked_url(url: str) -> str:
    """The URL without a slash at its end, which the client can't do with."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise BadInput(f"{url[:200]!r} is no server's URL; give one as http://localhost:9001")
    return url.rstrip("/")


def default_url() -> str:
    """Where a server on this machine answers."""
    return f"http://localhost:{os.environ.get('PORT') or 9001}"


def default_key() -> str:
    """The key of the environment, else the one that `atrous up` made."""
    from atrous.cli.own_key import KEY_FILE
    from atrous.store.home import home_folder

    from_environment = os.environ.get(KEY_NAME)
    if from_environment:
        return from_environment
    path = home_folder() / KEY_FILE
    if not path.exists():
        raise NotFound(
            f"there is no key in {path}; make one with `atrous keys create NAME`, and give it "
            "with --key"
        )
    return path.read_text().strip()


def config_path() -> Path:
    """Where the client keeps its config."""
    named = os.environ.get(CONFIG_VARIABLE)
    return Path(named) if named else Path.home() / ".config" / "roboflow" / "config.json"
