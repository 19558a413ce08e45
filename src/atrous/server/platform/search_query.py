"""The query language of searches: `project:roads tag:rain class:tree split:valid street`."""

import re
from collections import Counter
from dataclasses import dataclass

from atrous.domain.errors import BadRequest
from atrous.store.image_search import ImageQuery

# `word:value`, the value in quotes where it has spaces.
WORD = re.compile(r"""\b(project|tag|class|split):(?:"([^"]*)"|(\S+))""")
ANYTHING = "*"
OPERATORS = ("NOT", "AND", "OR")


@dataclass(frozen=True)
class SearchQuery:
    """What a query asks for."""

    project: str | None  # its slug
    photos: ImageQuery


def read_query(text: str, *, offset: int = 0, limit: int = 0) -> SearchQuery:
    """Read a query; what is no `word:value` is a part of the name.

    A word that is given twice, and operators, which would be misread, raise BadRequest.

    >>> read_query('tag:"wet road" class:tree street').photos.tag
    'wet road'
    """
    found = WORD.findall(text)
    for word, times in Counter(word for word, _, _ in found).items():
        if times > 1:
            raise BadRequest(f"the query has '{word}:' {times} times; give each word once")
    _refuse_operators(text)
    words = {word: quoted or plain for word, quoted, plain in found}
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


def _refuse_operators(text: str) -> None:
    """Names of photos may hold hyphens, as `a-b.jpg`, and parentheses, as `a (1).jpg`."""
    for token in WORD.sub(r"\1:", text).split():
        is_negated = token.startswith("-") and token != "-"
        is_half_a_group = token.count("(") != token.count(")")
        if token in OPERATORS or is_negated or is_half_a_group:
            raise BadRequest(
                f"'{token[:100]}' is not understood in a query: it has no {', '.join(OPERATORS)}, "
                "minus or groups; give words as tag:rain and a part of the name, which all hold"
            )
