import httpx

ROUTES = ("/", "/info", "/healthz", "/readiness", "/metrics", "/docs", "/openapi.json")


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


def test_head_answers_like_get_without_a_body(running) -> None:
    server = running()
    for path in ROUTES:
        got, head = (ask(server.url + path, timeout=300) for ask in (httpx.get, httpx.head))
        assert (head.status_code, head.content) == (got.status_code, b""), path
        assert head.headers["content-type"] == got.headers["content-type"]
        if path != "/metrics":  # each request changes them
            assert head.headers["content-length"] == str(len(got.content))
    server.services.lifecycle.drain()
    assert httpx.head(server.url + "/readiness", timeout=300).status_code == 503
    assert httpx.head(server.url + "/healthz", timeout=300).status_code == 200
    # a body that was sent after all would break the next answer
    with httpx.Client(timeout=300) as one_connection:
        answers = [one_connection.head(server.url + "/info") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200] * 3


def test_the_old_name_of_the_page_answers_head(client) -> None:
    answer = client.head("/redoc")
    assert (answer.status_code, answer.content) == (200, b"")


def test_head_of_what_is_no_page_is_refused(client, key) -> None:
    for path in ("/colours/1", "/model/registry", "/infer/semantic_segmentation"):
        assert client.head(path, params={"api_key": key}).status_code == 405


def test_the_page_of_the_api_needs_nothing_from_elsewhere(client) -> None:
    answer = client.get("/docs")
    assert "text/html" in answer.headers["content-type"]
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert client.get("/redoc").text == answer.text
    for path in client.get("/openapi.json").json()["paths"]:
        assert f"<code>{path}</code>" in answer.text
    assert "://" not in answer.text.replace("https://...", "")
    assert "<script" not in answer.text
