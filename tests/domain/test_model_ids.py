import pytest
from hypothesis import given
from hypothesis import strategies as st

from atrous.domain.errors import BadModelId
from atrous.domain.model_ids import PROJECT_PATTERN, ModelId, checked_project

SLUGS = st.from_regex(PROJECT_PATTERN, fullmatch=True).filter(lambda slug: not slug.isdigit())


@given(SLUGS, st.integers(1, 999_999_999))
def test_what_is_written_is_read(project: str, version: int) -> None:
    model_id = ModelId(project, version)
    assert ModelId.parse(str(model_id)) == model_id


@pytest.mark.parametrize(
    "text",
    [
        "",
        "shapes",
        "shapes/",
        "/1",
        "shapes/0",
        "shapes/01",
        "shapes/-1",
        "shapes/1.0",
        "shapes/1/2",
        "shapes/1\n",
        "shapes\n/1",
        "shapes/١",  # a digit, but not one of 0-9
        "Shapes/1",
        "sha pes/1",
        "../shapes/1",
        "-shapes/1",
        "12/1",
        f"{'a' * 64}/1",
        "shapes/1234567890",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(BadModelId):
        ModelId.parse(text)


def test_a_long_wrong_id_is_not_repeated_in_full() -> None:
    with pytest.raises(BadModelId) as refused:
        ModelId.parse("x" * 100_000)
    assert len(str(refused.value)) < 300


def test_longest_project() -> None:
    assert checked_project("a" * 63) == "a" * 63
    assert checked_project("2024-cats_b") == "2024-cats_b"
