import pytest

from atrous.domain.errors import BadRequest
from atrous.server.platform.search_query import SearchQuery, read_query
from atrous.store.image_search import ImageQuery


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("*", SearchQuery(None, ImageQuery(limit=5))),
        ("project:roads", SearchQuery("roads", ImageQuery(limit=5))),
        (
            'project:roads tag:"wet road" class:tree split:valid street 5',
            SearchQuery(
                "roads",
                ImageQuery("street 5", tag="wet road", class_name="tree", split="valid", limit=5),
            ),
        ),
        ("hashtag:rain", SearchQuery(None, ImageQuery("hashtag:rain", limit=5))),
        *(
            (name, SearchQuery(None, ImageQuery(name, limit=5)))
            for name in ("a-b.jpg", "a - b.jpg", "a (1).jpg", "NOTHING AT ALL", "this or that")
        ),
        ('tag:"-a OR (b"', SearchQuery(None, ImageQuery(tag="-a OR (b", limit=5))),
    ],
)
def test_words_are_parted(text: str, expected: SearchQuery) -> None:
    assert read_query(text, limit=5) == expected


@pytest.mark.parametrize("word", ["tag", "class", "split", "project"])
def test_a_word_is_given_once(word: str) -> None:
    with pytest.raises(BadRequest, match=f"'{word}:' 2 times"):
        read_query(f'{word}:a street {word}:"b c"')


@pytest.mark.parametrize(
    ("text", "token"),
    [
        ("project:roads -tag:rain", "-tag:"),
        ("-street", "-street"),
        ("NOT tag:rain", "NOT"),
        ("class:road OR tag:rain", "OR"),
        ("street AND class:road", "AND"),
        ("(tag:rain class:road)", r"\(tag:"),
        ("(street class:road)", r"\(street"),
    ],
)
def test_operators_are_refused(text: str, token: str) -> None:
    with pytest.raises(BadRequest, match=f"'{token}' is not understood"):
        read_query(text)
