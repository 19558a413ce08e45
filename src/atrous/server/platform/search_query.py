"""The query language of searches: `project:roads tag:rain class:tree split:valid street`."""

import re
from dataclasses import dataclass

from atrous.store.image_search import ImageQuery

# `word:value`, the value in quotes where it has spaces.
WORD = re.compile(r"""\b(project|tag|class|split):(?:"([^"]*)"|(\S+))""")
ANYTHING = "*"


@dataclass(frozen=True)
class SearchQuery:
    """What a query asks for."""

    project: str | None  # its slug
    photos: ImageQuery


def read_query(text: str, *, offset: int = 0, limit: int = 0) -> SearchQuery:
    """Read a query; what is no `word:value` is a part of the name.

    >>> read_query('tag:"wet road" class:tree street').photos.tag
    'wet road'
    """
    words = {word: quoted or plain for word, quoted, plain in WORD.findall(text)}
    rest = WORD.sub("", text).strip()
    photos = ImageQuery(
        text="" if rest == ANYTHING else rest,
        tag=words.get("tag"),
        class_name=words.get("class"),
        split=words.get("split"),
        offset=offset,
        limit=limit,
    )
    return SearchQuery(words.get("project"), photos)
