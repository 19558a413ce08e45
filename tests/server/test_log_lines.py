import json
import logging

import pytest

from atrous.server.log_lines import FIELDS, JsonLines, TextLines, redact, request_id, set_up_logging

KEY = "atr_" + "kE-y_" * 8 + "xyz"


def record(message: str, **more: object) -> logging.LogRecord:
    made = logging.LogRecord("atrous.x", logging.WARNING, "x.py", 1, message, (), None)
    made.__dict__.update(more)
    return made


def test_json_lines_are_one_object_each() -> None:
    token = request_id.set("abc")
    try:
        text = JsonLines().format(record("two\nlines", **{FIELDS: {"status": 200}}))
    finally:
        request_id.reset(token)
    assert "\n" not in text
    line = json.loads(text)
    assert line["message"] == "two\nlines"
    assert line["request_id"] == "abc"
    assert line["status"] == 200
    assert line["level"] == "WARNING"
    assert line["time"].endswith("Z")


def test_text_lines_carry_the_request_too() -> None:
    token = request_id.set("abc")
    try:
        assert "[abc]: hello" in TextLines().format(record("hello"))
    finally:
        request_id.reset(token)
    assert "[-]: hello" in TextLines().format(record("hello"))


@pytest.mark.parametrize("lines", [TextLines(), JsonLines()])
def test_no_key_gets_through_not_even_in_a_traceback(lines: logging.Formatter) -> None:
    try:
        raise ValueError(f"GET /a/1?api_key=plain&x=1 and {KEY}")
    except ValueError as error:
        broken = record(f"Bearer {KEY}", exc_info=(type(error), error, error.__traceback__))
    text = lines.format(broken)
    assert "Traceback" in text
    assert KEY[8:] not in text
    assert "plain" not in text


@pytest.mark.parametrize("place", ["files", "weights"])
def test_no_signed_link_gets_through(place: str) -> None:
    token = f"{'f' * 90}.{'s' * 43}"
    text = TextLines().format(record(f"GET /{place}/{token}/a.zip 200"))
    assert token[-20:] not in text
    assert f"/{place}/[hidden]/a.zip 200" in text


def test_what_is_no_key_stays() -> None:
    assert redact("atr_x and api_key and Bearer") == "atr_x and api_key and Bearer"


def test_levels(capsys) -> None:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        set_up_logging("json", "ERROR")
        logging.getLogger("atrous.x").warning("quiet")
        logging.getLogger("atrous.x").error("loud")
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
    [line] = capsys.readouterr().err.splitlines()
    assert json.loads(line)["message"] == "loud"
