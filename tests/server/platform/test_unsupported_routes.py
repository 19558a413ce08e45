import pytest


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/default/workflows"),
        ("POST", "/default/createWorkflow"),
        ("DELETE", "/default/workflows/x"),
        ("GET", "/default/groups"),
        ("POST", "/default/devices/v2"),
        ("GET", "/universe/search"),
        ("POST", "/videoinfer/"),
        ("POST", "/default/vision-events/query"),
        ("GET", "/default/models/prepareUpload"),
    ],
)
def test_what_is_not_supported_says_so(api, roads, method, path) -> None:
    answer = api.call(method, path)
    assert answer.status_code == 501
    assert "not supported by this server" in answer.json()["error"]["message"]


def test_there_are_no_dedicated_deployments(api, client) -> None:
    assert api.get("/list").json() == []
    assert client.get("/list").status_code == 401


def test_a_key_is_needed_all_the_same(client) -> None:
    assert client.get("/default/workflows").status_code == 401


def test_another_workspace_is_not_there(stranger, roads) -> None:
    assert stranger.get("/default/workflows").status_code == 404
    assert stranger.get("/other/workflows").status_code == 501
