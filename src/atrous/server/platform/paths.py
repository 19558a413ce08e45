"""Shapes of paths: they keep the routes of the platform and those of inference apart.

One origin has both `POST /{project}/{version}` (a prediction) and `GET /{workspace}/{project}`. A
second segment of digits is always a version; a slug is never digits alone, and never one of the
words that begin or continue another route.
"""

import re

from starlette.convertors import Convertor, StringConvertor, register_url_convertor

# Words that follow a workspace: no project may be called so.
AFTER_WORKSPACE = frozenset(
    """
    api-keys asynctasks autolabel batch batches createWorkflow devices folders groups images jobs
    model-evals models projects search trash upload usage vision-events workflows
    """.split()  # noqa: SIM905
)

# First segments of other routes, present or to come: no project is made, or looked up, under them.
RESERVED = frozenset(
    """
    _next api auth-cli build clear_cache dashboard.html dataset device docs files healthz infer
    inference_pipelines info logs metrics model models notebook openapi.json query readiness
    redoc sam2 start static universe usage videoinfer workflows
    """.split()  # noqa: SIM905
)


class SlugConvertor(Convertor[str]):
    """A workspace or project by its slug: not digits alone."""

    regex = r"(?![0-9]+(?:/|$))[a-z0-9][a-z0-9_-]{0,62}"

    def convert(self, value: str) -> str:
        """Give the slug as it is."""
        return value

    def to_string(self, value: str) -> str:
        """Give the slug as it is."""
        return value


class NumberConvertor(Convertor[int]):
    """The number of a version."""

    regex = r"[1-9][0-9]{0,8}"

    def convert(self, value: str) -> int:
        """Read the number."""
        return int(value)

    def to_string(self, value: int) -> str:
        """Write the number."""
        return str(value)


class FreeConvertor(StringConvertor):
    """A first segment that no other route has."""

    regex = rf"(?!(?:{'|'.join(map(re.escape, sorted(RESERVED)))})(?:/|$))[^/]+"


class DigitsConvertor(StringConvertor):
    """A version as clients write it, left as text."""

    regex = r"[0-9]+"


def register_path_shapes() -> None:
    """Let routes say `{project:slug}`, `{version:number}` and so on."""
    register_url_convertor("slug", SlugConvertor())
    register_url_convertor("number", NumberConvertor())
    register_url_convertor("free", FreeConvertor())
    register_url_convertor("digits", DigitsConvertor())
