from dataclasses import replace

import pytest
from sqlalchemy import event

from atrous.server.platform.descriptions import (
    colors_of,
    describe_image,
    describe_project,
    describe_projects,
    describe_task,
    describe_version,
    describe_versions,
    describe_workspace,
    enabled,
)


def test_steps_are_shown_with_enabled() -> None:
    assert enabled({"a": {"enabled": False, "b": 1}, "c": False}) == {
        "a": {"enabled": False, "b": 1},
        "c": {"enabled": False},
    }


def test_colours_are_of_a_class_whatever_comes_later() -> None:
    assert colors_of(["road"])["road"] == colors_of(["road", "tree"])["road"]
    assert len(set(colors_of(["a", "b", "c"]).values())) == 3


def test_what_is_described(api, labelled, store) -> None:
    workspace = store.workspaces.default()
    project = store.projects.get(workspace.id, "roads")
    assert describe_workspace(workspace)["url"] == "default"
    assert describe_project(store, workspace, project)["images"] == 3
    image = store.images.get(project, labelled[0])
    assert describe_image(image, ("road",))["labels"] == ["road"]
    version = store.versions.create(project, preprocessing={}, augmentation={}, seed=1)
    described = describe_version(store, workspace, project, version, "http://here")
    assert described["id"] == "default/roads/1"
    assert described["generating"] is True
    assert described["images"] == 3  # 0 would make the client wait for ever
    assert "error" not in described


def test_a_task_is_described_from_waiting_to_its_end(store) -> None:
    workspace = store.workspaces.default()
    queued = store.jobs.enqueue("count", {}, workspace_id=workspace.id)
    job = store.jobs.claim("worker")
    assert job is not None
    assert job.id == queued.id
    underway = replace(job, progress={"done": 2, "total": 9})

    assert describe_task(queued, 5) == {
        "taskId": job.id,
        "status": "queued",
        "progress": {"current": 0, "total": 5},
    }
    assert describe_task(replace(queued, state="waiting"), 5)["status"] == "pending"
    assert describe_task(underway, 5)["status"] == "running"
    assert describe_task(underway, 5, running="processing") == {
        "taskId": job.id,
        "status": "processing",
        "progress": {"current": 2, "total": 5},
    }
    assert describe_task(replace(underway, state="finished", result={"images": 5}), 5) == {
        "taskId": job.id,
        "status": "completed",
        "progress": {"current": 5, "total": 5},
        "result": {"images": 5},
    }
    failed = describe_task(replace(underway, state="failed", error="the disk is full"), 5)
    assert (failed["status"], failed["error"]) == ("failed", "the disk is full")
    assert "result" not in failed
    cancelled = describe_task(replace(underway, state="cancelled"), 5)
    assert (cancelled["status"], "into the trash" in cancelled["error"]) == ("failed", True)
    assert "error" not in describe_task(underway, 5)


@pytest.fixture
def statements(store) -> list[str]:
    """What the database was asked."""
    asked: list[str] = []
    engine = store._database._engine
    event.listen(engine, "before_cursor_execute", lambda *given: asked.append(given[2]))
    return asked


def test_more_versions_and_projects_ask_the_database_no_more(
    api, labelled, train, generate, store, statements: list[str]
) -> None:
    workspace = store.workspaces.default()
    project = store.projects.get(workspace.id, "roads")
    generate()
    train()
    asked = []
    for _ in range(2):
        statements.clear()
        versions = store.versions.list(project)
        described = describe_versions(store, workspace, project, versions, "http://here")
        described += describe_projects(store, workspace)
        asked.append(len(statements))
        for number in range(3):
            store.versions.create(project, preprocessing={}, augmentation={}, seed=number)
            api.post("/default/projects", {"name": f"More {number}"})
    assert [entry["id"] for entry in described[:4]] == [f"default/roads/{n}" for n in (4, 3, 2, 1)]
    assert described[3]["model"]["id"] == "roads/1"
    assert len(described) == 4 + 4
    assert asked[0] == asked[1]
