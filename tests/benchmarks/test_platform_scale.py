"""The judging parts of `benchmarks/platform_scale.py`, on a few rows."""

from collections.abc import Iterator

import platform_scale
import pytest
from platform_rows import CLASSES, RARE_EVERY, RARE_TAG, fill_project

from atrous.store import Store, open_store
from atrous.store.database import Database
from atrous.store.image_search import ImageQuery
from atrous.store.projects import Project

ROWS = 400


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, Project]]:
    home = tmp_path_factory.mktemp("scale") / "home"
    url = f"sqlite:///{home / 'atrous.sqlite3'}"
    with open_store(home, database=url) as store:
        yield store, fill_project(store, Database(url), ROWS, seed=1)


def test_rows_are_as_they_are_described(filled: tuple[Store, Project]) -> None:
    store, project = filled
    counts = store.projects.counts(project)
    assert counts.images == ROWS
    assert sum(counts.classes.values()) == 3 * (ROWS - counts.unannotated)
    assert set(counts.classes) == set(CLASSES)
    for tag, share in (("night", 0.5), ("rain", 0.1), (RARE_TAG, 1 / RARE_EVERY)):
        total = store.image_search.find(project, ImageQuery(tag=tag)).total
        assert abs(total - share * ROWS) < 0.1 * ROWS


def test_every_page_is_of_rows_that_are_there(filled: tuple[Store, Project]) -> None:
    """A page that finds nothing would be quick for no merit."""
    store, project = filled
    for name, work in platform_scale.page_works(store, project, ROWS).items():
        page = work()
        if isinstance(page, platform_scale.Page) and "none" not in name:
            assert page.images, name


def test_figures_are_medians_and_percentiles() -> None:
    times = [(float(at), 2.0 * at) for at in range(100, 0, -1)]
    found = platform_scale._figures(times)
    assert (found["cpu_median_ms"], found["cpu_p95_ms"]) == (50.5, 96.0)
    assert (found["wall_median_ms"], found["wall_p95_ms"]) == (101.0, 192.0)
    assert platform_scale._figures([(1.0, 2.0)])["cpu_p95_ms"] == 1.0


@pytest.mark.parametrize(
    ("slow", "lost", "failures", "problems"),
    [
        (99.0, 0, [], 0),
        (101.0, 0, [], 1),
        (99.0, 1, [], 1),
        (99.0, 0, ["error"], 1),
        (101.0, 1, ["error"], 3),
    ],
)
def test_a_run_is_judged(slow: float, lost: int, failures: list[str], problems: int) -> None:
    pages = {"quick": {"cpu_p95_ms": 1.0}, "slow": {"cpu_p95_ms": slow}}
    uploaders = {"lost": lost, "failures": failures}
    assert len(platform_scale.judge({"pages": pages, "uploaders": uploaders})) == problems


def test_photos_that_are_missing_are_counted(
    filled: tuple[Store, Project], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, _ = filled
    monkeypatch.setattr(platform_scale, "UPLOADERS", 3)
    monkeypatch.setattr(platform_scale, "UPLOADS_EACH", 4)
    found = platform_scale.upload_in_parallel(store)
    assert found == {"photos": 8, "expected": 8, "lost": 0, "failures": []}
    store.trash.put_project(store.projects.list(store.workspaces.default().id)[-1].id)
    add = store.images.add
    monkeypatch.setattr(  # answered, but not kept
        store.images,
        "add",
        lambda project, new: (
            add(project, new)[0],
            store.images.remove(project, [add(project, new)[0].id]),
        ),
    )
    assert platform_scale.upload_in_parallel(store)["lost"] > 0
