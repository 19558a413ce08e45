from collections.abc import Callable

import pytest
import typer

from atrous.cli.usage_errors import reworded


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("check x --ignore-id 300", "--ignore-id is 300; expected at most 255"),
        ("check x --ignore-id -1", "--ignore-id is -1; expected at least 0"),
        ("train x --size 3", "--size is 3; expected at least 32"),
        ("serve --port abc", "--port is abc; expected a whole number"),
        ("check x --ignore-id 1.5", "--ignore-id is 1.5; expected a whole number"),
        ("predict a b --out c --confidence 1.5", "--confidence is 1.5; expected at most 1"),
        ("keys create a --days soon", "--days is soon; expected a number"),
        ("export a --out b --precision int4", "is int4; expected one of fp32, fp16, int8\n"),
        ("check x --format foo", "--format is foo; expected one of png-mask-semantic, coco, yolo"),
        ("check x --classes a --classes-file b", "give --classes or --classes-file, not both"),
    ],
)
def test_the_value_and_what_was_expected_are_told(
    atrous: Callable[..., tuple[int, str, str]], command: str, said: str
) -> None:
    code, out, err = atrous(*command.split())
    assert (code, out) == (2, "")
    assert f"Usage: atrous {command.split()[0]}" in err
    assert said in err
    assert "Input should" not in err


def test_an_error_of_our_own_is_left_as_it_is() -> None:
    error = typer.BadParameter("'20' is no duration")
    assert reworded(error) is error
