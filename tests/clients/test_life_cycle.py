"""Starting and ending a server process."""

import subprocess
import sys
import threading
import time
import urllib.request

from atrous.server.settings import ServerSettings


def test_a_port_in_use_is_one_clear_message(server, home_of_model, conftest) -> None:
    port = server.url.rpartition(":")[2]
    done = subprocess.run(
        [sys.executable, "-m", "atrous", "serve", "--port", port],
        env=conftest.atrous_environment(home_of_model),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 1
    [line] = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert port in line
    assert "Traceback" not in done.stderr


def test_no_auth_on_an_open_address_is_refused(home_of_model, conftest) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "atrous", "serve", "--host", "0.0.0.0", "--no-auth"],
        env=conftest.atrous_environment(home_of_model),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: --no-auth with host 0.0.0.0")


def test_sigterm_answers_what_was_accepted_and_exits_with_0(
    home_of_model, conftest, open_urls, picture, tmp_path
) -> None:
    """Four requests wait for a picture by URL, which arrives after the signal."""
    server = conftest.start_server(
        home_of_model,
        tmp_path / "log",
        **{**open_urls, "REQUEST_TIMEOUT_S": "900", "DRAIN_TIMEOUT_S": "900"},
    )
    statuses: list[int] = []
    with conftest.load_beside("slow_pictures").slow_picture(picture) as slow:

        def post() -> None:
            url = f"{server.url}/colours/1?api_key={server.key}&image={slow.url}"
            with urllib.request.urlopen(url, b"", timeout=900) as answer:
                statuses.append(answer.status)

        threads = [threading.Thread(target=post) for _ in range(4)]
        for thread in threads:
            thread.start()
        while queue_depth(server.url) < 4:
            assert all(thread.is_alive() for thread in threads)
            time.sleep(0.01)
        server.process.terminate()
        while "draining" not in server.log.read_text():
            assert server.process.poll() is None
            time.sleep(0.01)
        assert statuses == []
        slow.let_go.set()
        assert server.process.wait(300) == 0
        for thread in threads:
            thread.join()
    assert statuses == [200] * 4


def queue_depth(url: str) -> int:
    with urllib.request.urlopen(f"{url}/metrics", timeout=300) as answer:
        text = answer.read().decode()
    return int(float(text.partition("\natrous_queue_depth ")[2].split()[0]))


def test_default_settings_are_closed() -> None:
    settings = ServerSettings()
    assert settings.host == "127.0.0.1"
    assert settings.require_key
    assert not settings.allow_url_to_non_global_addresses
