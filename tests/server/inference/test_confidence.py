import pytest

from atrous.domain.errors import BadRequest
from atrous.server.inference.confidence import LOWEST, OMITTED, of_hosted_route


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (None, OMITTED),
        ("", OMITTED),
        ("0", LOWEST),
        ("-5", LOWEST),
        ("0.5", 0.5),
        ("0.999", 0.999),
        ("1", 0.01),
        ("1.5", 0.015),
        ("50", 0.5),
        ("100", 1.0),
        ("best", "best"),
        ("default", "default"),
    ],
)
def test_scales(text, value) -> None:
    assert of_hosted_route(text) == pytest.approx(value) if value != text else value == text


@pytest.mark.parametrize("text", ["BEST", "x", "nan", "-inf", "1e999"])
def test_nonsense(text) -> None:
    with pytest.raises(BadRequest):
        of_hosted_route(text)
