"""What a request may touch: the workspace of its key, and nothing behind that wall."""

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import orjson
from fastapi import Depends, Path, Request

from atrous.domain.errors import BadRequest, NotFound
from atrous.domain.nesting import is_deeper
from atrous.server.services import services_of
from atrous.store.api_keys import ApiKey
from atrous.store.projects import Project
from atrous.store.versions import Version
from atrous.store.workspaces import Workspace

SlugPath = Annotated[str, Path(max_length=63)]
IdPath = Annotated[str, Path(max_length=100)]
MAX_IDS = 10_000
MAX_LEVELS = 64  # of objects and lists within one another, in a body


@dataclass(frozen=True)
class Owned:
    """A project, and the workspace that the key opens."""

    workspace: Workspace
    project: Project


@dataclass(frozen=True)
class OwnedVersion:
    """A version, with its project and workspace."""

    workspace: Workspace
    project: Project
    version: Version


async def key_workspace(request: Request) -> Workspace:
    """Give the key's workspace; without keys (`--no-auth`) the default one."""
    services, key = services_of(request), _key(request)
    if key is None:
        return await services.look_up(services.store.workspaces.default)
    return await services.look_up(partial(services.store.workspaces.by_id, key.workspace_id))


def _key(request: Request) -> ApiKey | None:
    key: ApiKey | None = request.state.api_key
    return key


KeyWorkspace = Annotated[Workspace, Depends(key_workspace)]


async def named_workspace(own: KeyWorkspace, workspace: SlugPath) -> Workspace:
    """Give the workspace of the path, which another key's workspace hides like one not there."""
    if workspace != own.slug:
        raise NotFound(f"there is no workspace {workspace[:100]!r} that this key opens")
    return own


NamedWorkspace = Annotated[Workspace, Depends(named_workspace)]


async def named_project(request: Request, workspace: NamedWorkspace, project: SlugPath) -> Owned:
    """Give the project of a path that begins with its workspace."""
    return await _owned(request, workspace, project)


async def key_project(request: Request, workspace: KeyWorkspace, project: SlugPath) -> Owned:
    """Give the project of a path that names no workspace."""
    return await _owned(request, workspace, project)


async def _owned(request: Request, workspace: Workspace, slug: str) -> Owned:
    services = services_of(request)
    get = partial(services.store.projects.get, workspace.id, slug)
    return Owned(workspace, await services.look_up(get))


NamedProject = Annotated[Owned, Depends(named_project)]
KeyProject = Annotated[Owned, Depends(key_project)]


async def named_version(
    request: Request, owned: NamedProject, version: Annotated[int, Path(ge=1, lt=10**9)]
) -> OwnedVersion:
    """Give the version of a path."""
    services = services_of(request)
    found = await services.look_up(partial(services.store.versions.get, owned.project, version))
    return OwnedVersion(owned.workspace, owned.project, found)


NamedVersion = Annotated[OwnedVersion, Depends(named_version)]


async def read_json(request: Request) -> dict[str, Any]:
    """Give the JSON object that a body is; none at all is an empty one."""
    body = await request.body()
    if not body.strip():
        return {}
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise BadRequest("the body is not JSON; send a JSON object") from None
    if not isinstance(content, dict):
        raise BadRequest(f"the body is a JSON {type(content).__name__}; send an object")
    if is_deeper(content, MAX_LEVELS):
        raise BadRequest(f"the body is nested on more than {MAX_LEVELS} levels; send it flatter")
    return content


def text_field(body: dict[str, Any], name: str, default: str | None = None) -> str:
    """Give a text of a body; BadRequest where it is no text, or is missing without a default."""
    value = body.get(name)
    if value is None and default is not None:
        return default
    if not isinstance(value, str):
        raise BadRequest(f"'{name}' is {str(value)[:100]!r}; send a text")
    return value


def texts_field(body: dict[str, Any], name: str) -> list[str]:
    """Give a list of texts of a body, empty where it is missing."""
    value = body.get(name) or []
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        raise BadRequest(f"'{name}' is {str(value)[:100]!r}; send a list of texts")
    return value


def ids_field(body: dict[str, Any], name: str) -> list[str]:
    """Give a list of ids of a body, empty where it is missing."""
    ids = texts_field(body, name)
    if len(ids) > MAX_IDS:
        raise BadRequest(f"{len(ids)} ids were sent; send at most {MAX_IDS} at once")
    return ids


def object_field(body: dict[str, Any], name: str) -> dict[str, Any]:
    """Give a JSON object of a body, empty where it is missing."""
    value = body.get(name) or {}
    if not isinstance(value, dict):
        raise BadRequest(f"'{name}' is {str(value)[:100]!r}; send a JSON object")
    return value


def flag_field(body: dict[str, Any], name: str) -> bool | None:
    """Give true or false of a body, None where it is missing."""
    value = body.get(name)
    if value is None or isinstance(value, bool):
        return value
    raise BadRequest(f"'{name}' is {str(value)[:100]!r}; send true or false")


def number_field(body: dict[str, Any], name: str, default: int, most: int, least: int = 0) -> int:
    """Give a whole number from `least` to `most` of a body."""
    value = body.get(name)
    if value is None:
        return default
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise BadRequest(f"'{name}' is {str(value)[:100]!r}; send a number from {least} to {most}")
    return value
