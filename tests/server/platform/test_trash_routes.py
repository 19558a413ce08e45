import pytest


def items(api) -> list[tuple[str, str]]:
    trash = api.get("/default/trash").json()
    sections = trash["sections"]
    assert sections["datasets"] == sections.pop("projects")  # the client reads the latter
    assert sum(map(len, sections.values())) == len(trash["items"])
    return [(item["type"], item["id"]) for item in trash["items"]]


def test_a_project_goes_and_comes_back(api, generate, train, png) -> None:
    generate()
    train()
    answer = api.call("DELETE", "/default/roads").json()
    assert (answer["deleted"], answer["type"], answer["trash"]) == (True, "project", True)
    assert api.get("/default/roads").status_code == 404
    assert api.get("/default").json()["workspace"]["projects"] == []
    picture = {"file": ("a.png", png, "image/png")}
    assert api.call("POST", "/roads/1", files=picture).status_code == 404
    assert items(api) == [("project", answer["id"])]
    body = {"type": "project", "id": answer["id"]}
    assert api.post("/default/trash/restore", body).json()["restored"] is True
    assert api.get("/default/roads").status_code == 200
    assert api.call("POST", "/roads/1", files=picture).status_code == 200
    assert items(api) == []


def test_a_version_comes_back_into_its_project(api, generate) -> None:
    generate()
    answer = api.call("DELETE", "/default/roads/1").json()
    assert (answer["type"], answer["id"]) == ("version", "1")
    assert api.get("/default/roads/1").status_code == 404
    assert api.get("/default/roads").json()["project"]["versions"] == 0
    assert items(api) == [("version", "1")]
    body = {"type": "version", "id": "1", "parentId": answer["parentId"]}
    assert api.post("/default/trash/restore", body).status_code == 200
    assert api.get("/default/roads/1").json()["version"]["images"] == 3


def test_what_the_trash_cancelled_says_so(api, labelled) -> None:
    """Each job waits when its project goes, and stays cancelled when it comes back."""
    task = api.post("/default/roads/upload/zip", {}).json()["taskId"]
    api.post("/default/roads/generate", {})
    project_id = api.call("DELETE", "/default/roads").json()["id"]
    body = {"type": "project", "id": project_id}
    assert api.post("/default/trash/restore", body).status_code == 200
    version = api.get("/default/roads/1").json()["version"]
    assert version["generating"] is False
    assert "went into the trash" in version["error"]
    told = api.get(f"/default/upload/zip/{task}").json()
    assert (told["status"], "went into the trash" in told["error"]) == ("failed", True)
    assert "went into the trash" in api.get("/default/roads/1/coco").json()["message"]


def test_a_training_comes_back_with_its_model(api, generate, train) -> None:
    generate()
    training_id = train()
    api.call("DELETE", f"/default/roads/1/v2/trainings/{training_id}")
    assert items(api) == [("training", training_id)]
    body = {"type": "training", "id": training_id}
    assert api.post("/default/trash/restore", body).status_code == 200
    (listed,) = api.get("/default/roads/1/v2/trainings").json()["trainings"]
    assert listed["modelIds"] == ["roads/1"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"type": "workflow", "id": "x"}, 400),
        ({"type": "project"}, 400),
        ({"type": "project", "id": True}, 400),
        ({"type": "project", "id": "nothing"}, 404),
    ],
)
def test_what_is_not_there_is_not_restored(api, roads, body, status) -> None:
    assert api.post("/default/trash/restore", body).status_code == status


def test_the_trash_of_another_workspace(api, stranger, generate) -> None:
    generate()
    project_id = api.call("DELETE", "/default/roads").json()["id"]
    assert stranger.get("/default/trash").status_code == 404
    assert stranger.get("/other/trash").json()["items"] == []
    body = {"type": "project", "id": project_id}
    assert stranger.post("/other/trash/restore", body).status_code == 404
    assert stranger.post("/default/trash/restore", body).status_code == 404
    assert stranger.call("DELETE", "/default/roads").status_code == 404


def test_the_trash_needs_the_scope_write(key_with, generate) -> None:
    generate()
    reader = key_with("infer")
    assert reader.get("/default/trash").status_code == 200
    for path in ("/default/roads", "/default/roads/1"):
        assert reader.call("DELETE", path).status_code == 403
    assert reader.post("/default/trash/restore", {}).status_code == 403
