import dataclasses
import logging
from pathlib import Path

from atrous.server.peer_settings import NOT_FOLLOWED, warn_of_peer_settings
from atrous.server.settings import ServerSettings


def test_what_is_set_in_vain_is_named_without_its_value(caplog) -> None:
    environment = {"ROBOFLOW_API_KEY": "a-secret", "NUM_WORKERS": "4", "DEVICE": "", "PORT": "1"}
    with caplog.at_level(logging.WARNING, logger="atrous"):
        warn_of_peer_settings(environment)
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 2
    assert all(" does nothing here: " in line for line in lines)
    assert {line.split()[0] for line in lines} == {"ROBOFLOW_API_KEY", "NUM_WORKERS"}
    assert "a-secret" not in caplog.text


def test_no_name_is_followed_and_not_followed() -> None:
    followed = {field.name.upper() for field in dataclasses.fields(ServerSettings)}
    assert not followed & set(NOT_FOLLOWED)


def test_the_documents_have_the_same_list() -> None:
    page = (Path(__file__).parents[2] / "docs" / "serving.md").read_text()
    section = page.split("### Not followed")[1].split("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    listed = {name.strip(" `") for row in rows for name in row.split(",")}
    assert listed == set(NOT_FOLLOWED)
