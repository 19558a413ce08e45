import pytest

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
    ],
)
def test_words_are_parted(text: str, expected: SearchQuery) -> None:
    assert read_query(text, limit=5) == expected
