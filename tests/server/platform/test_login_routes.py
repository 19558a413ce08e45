def test_a_key_is_a_token(api, store) -> None:
    workspace = store.workspaces.default()
    answer = api.http.get(f"/query/cliAuthToken/{api.key}")
    entry = {"url": "default", "name": workspace.name, "apiKey": api.key}
    assert answer.json() == {workspace.id: entry}


def test_other_tokens_are_null_and_then_refused(start) -> None:
    client = start(max_wrong_keys_per_minute=2)
    answers = [client.get("/query/cliAuthToken/nothing") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[0].json() is None


def test_the_page_tells_which_token(client) -> None:
    page = client.get("/auth-cli/", params={"workspace": "default"})
    assert page.status_code == 200
    assert "atrous keys create" in page.text
