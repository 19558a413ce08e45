import threading

import pytest
from sqlalchemy import insert

from atrous.domain.errors import BadInput, BadModelId, Conflict, NotFound
from atrous.store import Store
from atrous.store.dataset_tables import project_classes
from atrous.store.projects import Project, slug_of

KIND = {"kind": "semantic-segmentation", "annotation": "things"}


@pytest.mark.parametrize(
    ("name", "slug"),
    [("Road Signs", "road-signs"), ("  A--b__c ", "a-b-c"), ("7", "project-7"), ("???", "project")],
)
def test_names_become_slugs(name: str, slug: str) -> None:
    assert slug_of(name) == slug


def test_long_names_become_short_slugs(store: Store) -> None:
    project = store.projects.create(store.workspaces.default().id, "x" * 200, **KIND)
    assert project.slug == "x" * 57


def test_a_project_comes_back(store: Store, project: Project) -> None:
    assert store.projects.get(project.workspace_id, "roads") == project
    assert store.projects.by_id(project.workspace_id, project.id) == project
    assert store.projects.list(project.workspace_id) == [project]
    assert project.license == "Private"


def test_a_name_is_taken_once_in_a_workspace(store: Store, project: Project) -> None:
    with pytest.raises(Conflict, match="'roads' exists already"):
        store.projects.create(project.workspace_id, "ROADS", **KIND)


def test_a_slug_taken_elsewhere_gets_an_ending(store: Store, project: Project, package) -> None:
    other = store.workspaces.create("other")
    second = store.projects.create(other.id, "Roads", **KIND)
    assert second.slug.startswith("roads-")
    assert len(second.slug) == 11
    store.models.publish("shapes", package, workspace_id=project.workspace_id)
    third = store.projects.create(project.workspace_id, "Shapes", **KIND)
    assert third.slug != "shapes"


def test_a_workspace_is_a_wall(store: Store, project: Project, stranger: Project) -> None:
    for workspace_id, other in (
        (project.workspace_id, stranger),
        (stranger.workspace_id, project),
    ):
        with pytest.raises(NotFound):
            store.projects.get(workspace_id, other.slug)
        with pytest.raises(NotFound):
            store.projects.by_id(workspace_id, other.id)
        assert other not in store.projects.list(workspace_id)


@pytest.mark.parametrize(
    "name", ["", "  ", "a\nb", "x" * 201, "\ud800", "a\x85b", "a\u2028b", "a\u2029b"]
)
def test_names_that_can_not_be_used(store: Store, name: str) -> None:
    with pytest.raises((BadInput, BadModelId)):
        store.projects.create(store.workspaces.default().id, name, **KIND)


def test_classes_are_numbered_in_the_order_of_their_coming(store: Store, project: Project) -> None:
    assert store.projects.class_names(project) == ("background",)
    assert store.projects.number_classes(project, ["tree", "Background", "road"]) == {
        "tree": 1,
        "Background": 0,
        "road": 2,
    }
    assert store.projects.number_classes(project, ["car", "tree"]) == {"car": 3, "tree": 1}
    assert store.projects.class_names(project) == ("background", "tree", "road", "car")


def test_spaces_around_a_name_are_no_part_of_it(store: Store, project: Project) -> None:
    numbers = store.projects.number_classes(project, [" tree", "tree ", "tree", " Background "])
    assert numbers == {" tree": 1, "tree ": 1, "tree": 1, " Background ": 0}
    assert store.projects.class_names(project) == ("background", "tree")


def test_classes_of_older_releases_keep_their_spaces_and_numbers(
    store: Store, project: Project
) -> None:
    rows = [
        {"project_id": project.id, "number": number, "name": name}
        for number, name in enumerate((" road", " tree", "tree"), start=1)
    ]
    with store.projects._database.write() as connection:
        connection.execute(insert(project_classes), rows)
    names = ("road", " road", "tree", " tree", "tree ", "car ")
    numbers = dict(zip(names, (1, 1, 3, 2, 3, 4), strict=True))
    assert store.projects.number_classes(project, names) == numbers
    assert store.projects.class_names(project)[1:] == (" road", " tree", "tree", "car")


def test_class_names_that_end_a_line_are_new_no_more(store: Store, project: Project) -> None:
    old = "road\u2028surface"
    with store.projects._database.write() as connection:
        row = {"project_id": project.id, "number": 1, "name": old}
        connection.execute(insert(project_classes), [row])
    assert store.projects.number_classes(project, [old, 'pipe 12"']) == {old: 1, 'pipe 12"': 2}
    assert store.projects.planned_numbers(project, [old], beside=[old, "tree"]) == {old: 1}
    for name in ("a\x85b", "a\u2029b"):
        with pytest.raises(BadInput, match="on one line"):
            store.projects.number_classes(project, [name])
        with pytest.raises(BadInput, match="on one line"):
            store.projects.planned_numbers(project, [], beside=[name])


def test_what_stands_for_ignored_pixels_is_no_class(store: Store, project: Project) -> None:
    for name in ("__ignore__", " __ignore__ "):
        with pytest.raises(BadInput, match="the value 255 in a mask"):
            store.projects.number_classes(project, ["tree", name])
    assert store.projects.class_names(project) == ("background",)


def test_planned_numbers_add_nothing(store: Store, project: Project) -> None:
    store.projects.number_classes(project, ["tree"])
    assert store.projects.planned_numbers(project, ["road", "tree"]) == {"road": 2, "tree": 1}
    assert store.projects.class_names(project) == ("background", "tree")


def test_two_uploads_number_classes_at_once(store: Store, project: Project) -> None:
    failures: list[BaseException] = []

    def add(names: list[str]) -> None:
        try:
            store.projects.number_classes(project, names)
        except BaseException as error:  # noqa: BLE001 - shown below
            failures.append(error)

    names = [[f"class{number}", f"class{number + 1}"] for number in range(8)]
    threads = [threading.Thread(target=add, args=(some,)) for some in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    kept = store.projects.class_names(project)
    assert sorted(kept[1:]) == [f"class{number}" for number in range(9)]


def test_no_more_classes_than_a_label_map_holds(store: Store, project: Project) -> None:
    store.projects.number_classes(project, [f"c{number}" for number in range(254)])
    with pytest.raises(BadInput, match="at most 255"):
        store.projects.number_classes(project, ["one more"])
    assert len(store.projects.class_names(project)) == 255


def test_counts(store: Store, project: Project, add_image, add_labelled) -> None:
    store.projects.number_classes(project, ["road", "tree"])
    add_image(project, 1)
    add_labelled(project, 2, [1], split="valid")
    add_labelled(project, 3, [1, 2])
    counts = store.projects.counts(project)
    assert (counts.images, counts.unannotated, counts.versions) == (3, 1, 0)
    assert counts.splits == {"train": 1, "valid": 1, "test": 0}
    assert counts.classes == {"road": 2, "tree": 1}


def test_counts_of_several_projects(
    store: Store, project: Project, stranger: Project, add_image, add_labelled
) -> None:
    for each, count in ((project, 2), (stranger, 3)):
        store.projects.number_classes(each, ["road", each.slug])
        for number in range(count):
            add_labelled(each, number, [1])
    add_image(stranger, 9)
    store.versions.create(stranger, preprocessing={}, augmentation={}, seed=0)
    counts = store.projects.counts_of([project, stranger])
    assert counts == {each.id: store.projects.counts(each) for each in (project, stranger)}
    assert [counts[each.id].images for each in (project, stranger)] == [2, 4]
    assert [counts[each.id].versions for each in (project, stranger)] == [0, 1]
    assert list(counts[stranger.id].classes.items()) == [("road", 3), ("fields", 0)]
    assert store.projects.counts_of([]) == {}
