import pytest

PROJECT_KEYS = {
    "annotation",
    "classes",
    "colors",
    "created",
    "id",
    "images",
    "name",
    "public",
    "splits",
    "type",
    "unannotated",
    "updated",
    "versions",
}


def test_a_project_is_created_and_read(api) -> None:
    body = {"name": "Road Signs", "type": "semantic-segmentation", "annotation": ""}
    created = api.post("/default/projects", body)
    assert created.status_code == 200
    project = created.json()
    assert set(project) >= PROJECT_KEYS
    assert project["id"] == "default/road-signs"
    assert project["annotation"] == "objects"
    read = api.get("/default/road-signs").json()
    assert read["project"] == project
    assert read["versions"] == []
    assert read["workspace"]["url"] == "default"


def test_a_name_is_taken_once(api, roads: str) -> None:
    answer = api.post("/default/projects", {"name": "ROADS"})
    assert answer.status_code == 409
    assert "exists already" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": 7},
        {"name": ""},
        {"name": "Images"},
        {"name": "a", "type": "object-detection"},
        {"name": "a", "license": []},
        [],
    ],
)
def test_bodies_that_are_not_understood(api, body) -> None:
    answer = api.post("/default/projects", body)
    assert answer.status_code == 400
    assert answer.json()["error"]["status"] == 400


def test_what_is_not_json_is_refused(api) -> None:
    answer = api.call("POST", "/default/projects", content=b"{")
    assert answer.status_code == 400


def test_counts_follow_the_photos(api, labelled) -> None:
    project = api.get("/default/roads").json()["project"]
    assert (project["images"], project["unannotated"]) == (3, 0)
    assert project["splits"] == {"train": 2, "valid": 1, "test": 0}
    assert project["classes"] == {"road": 3, "tree": 3}
    assert set(project["colors"]) == {"road", "tree"}
    assert all(len(color) == 7 for color in project["colors"].values())


def test_a_workspace_is_a_wall(api, stranger, roads: str) -> None:
    for path in ("/default/roads", "/other/roads"):
        assert stranger.get(path).status_code == 404
    assert stranger.post("/default/projects", {"name": "x"}).status_code == 404
    assert stranger.post("/other/projects", {"name": "Roads"}).json()["id"] != "other/roads"


def test_scopes_are_asked_for(key_with, roads: str) -> None:
    reader = key_with("infer")
    assert reader.get("/default/roads").status_code == 200
    refused = reader.post("/default/projects", {"name": "x"})
    assert refused.status_code == 403
    assert "scope" in refused.json()["error"]["message"]


def test_inference_keeps_its_paths(api, roads: str) -> None:
    """A second segment of digits is a version, a picture's URL makes any path a prediction."""
    assert api.call("POST", "/colours/1", content=b"").status_code == 400
    assert api.get("/colours/1").status_code == 400
    predicted = api.get("/default/colours", params={"image": "ftp://nowhere"})
    assert predicted.json()["message"].startswith("Could not load input image")
    assert api.get("/default/colours").status_code == 404
