import pytest

from atrous.domain.errors import NotFound
from atrous.server.platform.links import Links, Target, opened, sign, verify

SECRET = b"s" * 32
TARGET = Target("a" * 64, "application/zip", 1000.0)


def test_a_link_opens_until_it_expires() -> None:
    token = sign(TARGET, SECRET)
    assert verify(token, SECRET, clock=lambda: 999.0) == TARGET
    with pytest.raises(NotFound, match="expired"):
        verify(token, SECRET, clock=lambda: 1000.0)


@pytest.mark.parametrize("token", ["", ".", "a.b", "é.é", "x" * 3000, "====.===="])
def test_nonsense_opens_nothing(token: str) -> None:
    with pytest.raises(NotFound):
        verify(token, SECRET, clock=lambda: 0.0)


def test_a_changed_link_opens_nothing() -> None:
    token = sign(TARGET, SECRET)
    facts, _, signature = token.partition(".")
    other = sign(Target("b" * 64, "application/zip", 1000.0), SECRET).partition(".")[0]
    for forged in (f"{other}.{signature}", f"{facts}.", f"{facts}.{signature[:-2]}"):
        with pytest.raises(NotFound):
            verify(forged, SECRET, clock=lambda: 0.0)
    with pytest.raises(NotFound):
        verify(token, b"t" * 32, clock=lambda: 0.0)


def test_links_name_the_host_of_the_request_or_of_the_settings(start, store) -> None:
    client = start()
    seen = []
    from starlette.requests import Request

    def request(host: str) -> Request:
        scope = {
            "type": "http",
            "scheme": "http",
            "path": "/",
            "query_string": b"",
            "root_path": "",
            "state": {"api_key": None},
        }
        return Request({**scope, "headers": [(b"host", host.encode())], "server": ("x", 80)})

    services = client.app.state.services
    seen.append(Links(request("here:9001"), services).to("a" * 64, "image/png", "a b.png"))
    public = start(public_url="https://atrous.example/").app.state.services
    seen.append(Links(request("here:9001"), public).to("a" * 64, "image/png", "a.png"))
    assert seen[0].startswith("http://here:9001/files/")
    assert seen[0].endswith("/a%20b.png")
    assert seen[1].startswith("https://atrous.example/files/")


def test_a_link_ends_with_the_key_that_asked_for_it(api, key_with, labelled, store) -> None:
    photo = f"/default/roads/images/{labelled[0]}"
    own, other = (
        each.get(photo).json()["image"]["urls"]["original"] for each in (api, key_with("write"))
    )
    zip_link = api.post("/default/roads/upload/zip", {}).json()["signedUrl"]
    store.api_keys.revoke("test")
    assert [api.http.get(link).status_code for link in (own, other)] == [404, 200]
    answer = api.http.put(zip_link, content=b"")
    assert answer.status_code == 404
    assert "not valid" in answer.json()["error"]["message"]


def test_without_keys_links_need_none(start, store) -> None:
    client = start(require_key=False)
    client.post("/default/projects", json={"name": "Roads"})
    token = client.post("/default/roads/upload/zip").json()["url"].rpartition("/")[2]
    assert opened(token, "zip uploads", store).key_id is None
