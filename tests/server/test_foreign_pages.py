"""Who may call a server without keys: programs of this machine, and the pages that are named."""

import pytest

PAGE = "https://pages.example"


@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost:9001", "LOCALHOST.:9001", "127.0.0.1", "127.8.0.1:80", "[::1]:9001"],
)
def test_names_of_this_machine_pass(start, host: str) -> None:
    client = start(require_key=False)
    for headers in ({}, {"origin": f"http://{host}"}):
        assert client.post("/model/clear", headers={"host": host, **headers}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:9001",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "192.168.1.7:9001",
        "0.0.0.0:9001",
        "evil.example#localhost",
        "localhost@evil.example",
        "",
    ],
)
def test_names_that_were_made_to_mean_this_machine_do_not(start, host: str) -> None:
    client = start(require_key=False)
    for method, path in (("POST", "/model/clear"), ("GET", "/info"), ("GET", "/default")):
        answer = client.request(method, path, headers={"host": host, "origin": f"http://{host}"})
        assert answer.status_code == 403
        assert "localhost" in answer.json()["message"]
        assert answer.json()["Message"]


@pytest.mark.parametrize(
    "origin", [PAGE, "null", "", "http://localhost:3000", "http://localhost.evil.example"]
)
def test_pages_of_others_may_not_call(start, origin: str) -> None:
    client = start(require_key=False)
    for content_type in ("text/plain", "application/json"):
        headers = {"origin": origin, "content-type": content_type}
        answer = client.post("/model/clear", headers=headers, content=b"{}")
        assert answer.status_code == 403
        assert "ALLOW_ORIGINS" in answer.json()["message"]
        assert answer.headers["X-Request-ID"]


@pytest.mark.parametrize("allowed", [f"{PAGE}, https://other.example", "*"])
def test_pages_that_are_named_may(start, allowed: str) -> None:
    client = start(require_key=False, allow_origins=allowed)
    answer = client.post("/model/clear", headers={"origin": PAGE})
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] in (PAGE, "*")


EMBEDDED = {"sec-fetch-site": "cross-site", "sec-fetch-dest": "image"}


@pytest.mark.parametrize("referer", [{}, {"referer": f"{PAGE}/x"}, {"referer": "no address"}])
def test_pages_of_others_may_not_show_what_is_here(start, referer: dict[str, str]) -> None:
    """A picture's address may be one that drops all models."""
    client = start(require_key=False)
    answer = client.get("/clear_cache", headers={**EMBEDDED, **referer})
    assert answer.status_code == 403
    assert "ALLOW_ORIGINS" in answer.json()["message"]


def test_pages_that_are_named_may_show_it(start) -> None:
    client = start(require_key=False, allow_origins=PAGE)
    page = {"referer": f"{PAGE}/a/page"}
    assert client.get("/info", headers={**EMBEDDED, **page}).status_code == 200
    assert client.get("/info", headers=EMBEDDED).status_code == 403


def test_links_of_others_may_be_followed(start) -> None:
    headers = {"sec-fetch-site": "cross-site", "sec-fetch-dest": "document"}
    assert start(require_key=False).get("/docs", headers=headers).status_code == 200


def test_a_proxy_on_this_machine_may_pass_the_name_of_its_own(start) -> None:
    client = start(require_key=False, public_url="https://seg.example.org/")
    headers = {"host": "seg.example.org", "origin": "https://seg.example.org"}
    assert client.post("/model/clear", headers=headers).status_code == 200
    assert client.get("/info", headers={"host": "evil.example"}).status_code == 403


def test_with_keys_the_key_alone_decides(client, key) -> None:
    headers = {"host": "seg.example.org", "origin": PAGE}
    params = {"api_key": key}
    assert client.post("/model/clear", params=params, headers=headers).status_code == 200
