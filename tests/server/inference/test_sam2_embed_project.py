import pytest

from atrous.store.jobs import EMBED_PROJECT

PATH = "/sam2/embed_project"


@pytest.fixture
def project(store):
    workspace = store.workspaces.default()
    return store.projects.create(
        workspace.id, "Roads", kind="semantic-segmentation", annotation="x"
    )


def get(sam2, job_id: str, key: str | None = None):
    return sam2.http.get(f"{PATH}/{job_id}", params={"api_key": key or sam2.key})


def test_a_job_is_queued_once_and_told_of(sam2, store, project) -> None:
    queued = sam2.post(PATH, project=project.slug, sam2_version_id="hiera_tiny").json()
    assert queued == {"job_id": queued["job_id"], "state": "queued", "fraction": 0.0}
    assert sam2.post(PATH, project=project.slug).json() == queued  # the setting names the same
    job = store.jobs.claim("w", [EMBED_PROJECT])
    assert job.payload == {
        "project_id": project.id,
        "model": "hiera_tiny",
        "engine": "onnxruntime",
        "precision": "auto",
        "cache_folder": "",
        "max_disk_bytes": 4 * 1024**3,
    }
    counts = {"total": 4, "there": 1, "embedded": 1, "unreadable": 0}
    store.jobs.progress(job.id, "w", {**counts, "fraction": 0.5})
    running = get(sam2, job.id).json()
    assert running == {"job_id": job.id, "state": "running", "fraction": 0.5, **counts}
    again = sam2.post(PATH, project=project.slug).json()  # new photos may have come
    assert (again["state"], again["job_id"] == job.id) == ("queued", False)
    assert sam2.post(PATH, project=project.slug).json() == again
    store.jobs.finish(job.id, "w", {**counts, "embedded": 3})
    finished = get(sam2, job.id).json()
    assert finished["state"] == "finished"
    assert (finished["fraction"], finished["embedded"]) == (1.0, 3)


def test_a_failure_says_why(sam2, store, project) -> None:
    job_id = sam2.post(PATH, project=project.slug).json()["job_id"]
    store.jobs.claim("w", [EMBED_PROJECT])
    store.jobs.fail(job_id, "w", "the project roads has no photos; upload some")
    assert get(sam2, job_id).json()["error"] == "the project roads has no photos; upload some"


def test_another_model_is_another_job(sam2, project) -> None:
    first = sam2.post(PATH, project=project.slug).json()["job_id"]
    small = sam2.post(PATH, project=project.slug, sam2_version_id="sam2/hiera_small-2.0").json()
    assert small["job_id"] != first


def test_what_is_not_there_is_404(sam2, store, project) -> None:
    assert sam2.post(PATH, project="nowhere").status_code == 404
    assert get(sam2, "nothing").status_code == 404
    absent = sam2.post(PATH, project=project.slug, sam2_version_id="hiera_large")
    assert absent.status_code == 404
    assert "atrous sam2 add hiera_large" in absent.json()["message"]
    job_id = sam2.post(PATH, project=project.slug).json()["job_id"]
    other = store.jobs.enqueue("generate", {}, workspace_id=project.workspace_id)
    assert get(sam2, other.id).status_code == 404
    theirs = store.api_keys.create("theirs", store.workspaces.create("theirs")).plain_text
    assert get(sam2, job_id, theirs).status_code == 404
    assert sam2.post(PATH, theirs, project=project.slug).status_code == 404
