def test_everyone_may_ask_how_it_is(client) -> None:
    assert client.get("/").status_code == 200
    assert "text/html" in client.get("/").headers["content-type"]
    assert client.get("/healthz").json() == {"status": "healthy"}
    assert client.get("/readiness").json() == {"status": "ready"}
    assert client.get("/metrics").text.startswith("# HELP")


def test_info_has_what_the_sdk_reads(client) -> None:
    info = client.get("/info").json()
    assert all(isinstance(info[field], str) for field in ("name", "version", "uuid"))
    assert client.get("/info").json() == info
