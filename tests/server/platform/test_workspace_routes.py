import pytest


def test_a_key_says_its_workspace(api) -> None:
    answer = api.call("POST", "/")
    assert answer.status_code == 200
    assert answer.json()["workspace"] == "default"
    assert {"welcome", "instructions", "docs"} <= set(answer.json())


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("", "Unauthorized api_key"),
        ("atr_" + "x" * 43, "not authorized"),
        ("nonsense", "not authorized"),
    ],
)
def test_a_wrong_key_is_401(client, key: str, words: str) -> None:
    answer = client.post("/", params={"api_key": key})
    assert answer.status_code == 401
    assert words in answer.json()["error"]["message"]


def test_the_page_for_people_stays(client) -> None:
    assert "text/html" in client.get("/").headers["content-type"]


def test_a_workspace_lists_its_projects(api, roads: str) -> None:
    workspace = api.get("/default").json()["workspace"]
    assert (workspace["name"], workspace["url"], workspace["members"]) == ("default", "default", 1)
    assert [project["id"] for project in workspace["projects"]] == ["default/roads"]


@pytest.mark.parametrize("path", ["/other", "/absent", "/123", "/favicon.ico", "/Default"])
def test_other_workspaces_are_not_there(api, stranger, path: str) -> None:
    answer = api.get(path)
    assert answer.status_code == 404
    assert answer.json()["message"]
    assert stranger.get("/other").status_code == 200


def test_without_keys_the_default_workspace_is_open(start) -> None:
    client = start(require_key=False)
    assert client.post("/").json()["workspace"] == "default"
    assert client.get("/default").status_code == 200
