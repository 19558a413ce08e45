from atrous.server.platform.health_routes import warnings_of
from atrous.store.projects import ProjectCounts


def test_the_health_of_a_data_set(api, labelled, made) -> None:
    api.upload(made.png_of(9), "9.png")
    health = api.get("/default/roads/health", params={"regenerate": "true"}).json()
    assert (health["images"], health["annotated"], health["unannotated"]) == (4, 3, 1)
    assert [entry["name"] for entry in health["classes"]] == ["road", "tree"]
    assert health["dimensions"]["sizes"] == [{"width": 32, "height": 24, "images": 4}]
    assert any("1 photos have no label" in warning for warning in health["warnings"])


def test_an_empty_project_is_told_what_it_lacks(api, roads) -> None:
    health = api.get(f"{roads}/health").json()
    assert health["images"] == 0
    assert len(health["warnings"]) == 2


def test_a_rare_class_is_named() -> None:
    counts = ProjectCounts(100, 0, {"train": 80, "valid": 20}, {"road": 90, "tree": 2}, 0)
    (warning,) = warnings_of(counts)
    assert "'tree' is on 2 photos" in warning


def test_a_wall_is_around_it(stranger, roads) -> None:
    assert stranger.get(f"{roads}/health").status_code == 404
