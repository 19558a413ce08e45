import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from atrous.cli import connect
from atrous.domain.errors import BadInput, NotAllowed, NotFound
from atrous.server.app import create_app
from atrous.server.draining import DrainingServer, server_config
from atrous.server.settings import ServerSettings
from atrous.store import open_store

KEY = "atr_lowercase"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """A live server's URL, and a key of it."""
    import socket
    import threading

    with open_store(tmp_path / "served") as store:
        workspace = store.workspaces.default()
        key = store.api_keys.create("test", workspace).plain_text
        settings = ServerSettings(engine="onnxruntime")
        app = create_app(settings, store)
        listener = socket.create_server(("127.0.0.1", 0))
        running = DrainingServer(server_config(app, settings), app.state.services)
        thread = threading.Thread(target=running.run, args=([listener],))
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", key
        running.should_exit = True
        thread.join()


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "client" / "config.json"
    monkeypatch.setenv(connect.CONFIG_VARIABLE, str(path))
    return path


def test_a_shell_reads_the_lines(atrous, monkeypatch) -> None:
    monkeypatch.delenv("PORT", raising=False)
    code, out, _ = atrous("connect", "--key", KEY)
    assert code == 0
    shown = subprocess.run(
        ["sh", "-c", f'{out}\necho "$API_URL $ROBOFLOW_API_KEY $NO_PROXY"'],
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"], "NO_PROXY": "example.org"},
    )
    assert shown.stdout == f"http://localhost:9001 {KEY} example.org,localhost\n"
    for name in connect.URL_NAMES:
        assert f"export {name}=http://localhost:9001\n" in out


def test_the_key_of_this_installation(atrous, home, monkeypatch) -> None:
    monkeypatch.delenv(connect.KEY_NAME, raising=False)
    code, _, err = atrous("connect")
    assert code == 1
    assert "atrous keys create" in err
    home.mkdir(parents=True, exist_ok=True)
    (home / "api_key").write_text(KEY + "\n")
    assert f"={KEY}\n" in atrous("connect", "--url", "https://there/")[1]
    monkeypatch.setenv(connect.KEY_NAME, "atr_other")
    out = atrous("connect", "--url", "https://there/")[1]
    assert "ROBOFLOW_API_KEY=atr_other\n" in out
    assert "API_URL=https://there\n" in out
    assert "NO_PROXY" not in out


def test_the_config_is_merged(server, config) -> None:
    url, key = server
    config.parent.mkdir()
    old = {"workspaces": {"acme": {"url": "acme"}}, "API_URL": "x", "theirs": [1]}
    config.write_text(json.dumps(old))
    assert connect.write_config(config, url, key) == "default"
    written = json.loads(config.read_text())
    assert written["theirs"] == [1]
    assert {written[name] for name in connect.URL_NAMES} == {url}
    assert written["RF_WORKSPACE"] == "default"
    assert written["workspaces"]["acme"] == {"url": "acme"}
    entry = {"url": "default", "name": "default", "apiKey": key}
    assert written["workspaces"]["default"] == entry
    assert json.loads(config.with_name("config.json.bak").read_text()) == old
    assert config.stat().st_mode & 0o077 == 0
    assert sorted(path.name for path in config.parent.iterdir()) == [
        "config.json",
        "config.json.bak",
    ]


def test_a_new_config_through_the_command(atrous, server, config) -> None:
    url, key = server
    code, out, _ = atrous("connect", "--url", url, "--key", key, "--write")
    assert (code, str(config) in out, key in out) == (0, True, False)
    assert json.loads(config.read_text())["API_URL"] == url
    assert [path.name for path in config.parent.iterdir()] == ["config.json"]


def test_nothing_is_written_without_the_server(server, config) -> None:
    url, _ = server
    with pytest.raises(NotAllowed, match="does not know this key"):
        connect.write_config(config, url, "atr_wrong_key_that_nobody_has")
    with pytest.raises(NotFound, match="answers 404"):
        connect.write_config(config, url + "/elsewhere", "x")
    with pytest.raises(NotFound, match="no server answers"):
        connect.write_config(config, "http://127.0.0.1:1", "x")
    assert not config.exists()


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"workspaces": 1}', b"\xff"])
def test_a_config_that_is_none_is_left_alone(config, content) -> None:
    with pytest.raises(BadInput, match="move it away"):
        connect.read_config(config, content)


@pytest.mark.parametrize("url", ["localhost:9001", "ftp://x", "http://", "http://x/?a=1"])
def test_what_is_no_url(url) -> None:
    with pytest.raises(BadInput, match="http://localhost:9001"):
        connect.checked_url(url)


def test_where_the_client_looks(monkeypatch) -> None:
    monkeypatch.delenv(connect.CONFIG_VARIABLE, raising=False)
    assert connect.config_path() == Path.home() / ".config/roboflow/config.json"
