"""Model ids: `project/version`, checked before they reach a store or a file system."""

import re
from dataclasses import dataclass

from atrous.domain.errors import BadModelId

PROJECT_PATTERN = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
VERSION_PATTERN = re.compile(r"[1-9][0-9]{0,8}")


@dataclass(frozen=True)
class ModelId:
    """A project's slug and the number of one of its versions.

    >>> ModelId.parse("shapes/1")
    ModelId(project='shapes', version=1)
    >>> str(ModelId("shapes", 1))
    'shapes/1'
    """

    project: str
    version: int

    @classmethod
    def parse(cls, text: str) -> "ModelId":
        """Read `project/version`; anything else raises BadModelId."""
        project, slash, version = text.partition("/")
        if not slash or not VERSION_PATTERN.fullmatch(version):
            raise BadModelId(
                f"model id {text[:100]!r} is not of the form project/version, as shapes/1"
            )
        return cls(checked_project(project), int(version))

    def __str__(self) -> str:
        """The id as clients send it."""
        return f"{self.project}/{self.version}"


def checked_project(slug: str, kind: str = "project") -> str:
    """Give the slug back if it can name a project, or what else is named so, else BadModelId.

    >>> checked_project("road-signs")
    'road-signs'
    """
    if not PROJECT_PATTERN.fullmatch(slug) or slug.isdigit():
        raise BadModelId(
            f"{kind} {slug[:100]!r} can't be used: take 1 to 63 of a-z, 0-9, '-' or '_', "
            "starting with a letter or digit, and not digits alone"
        )
    return slug
