from atrous.store import Store
from atrous.store.project_sizes import SIZES_SHOWN
from atrous.store.projects import Project


def test_the_most_frequent_size_comes_first(store: Store, project: Project, add_image) -> None:
    for number, width in enumerate((64, 64, 32)):
        add_image(project, number, width=width)
    sizes = store.project_sizes.of(project)
    assert sizes.most_frequent == ((64, 48, 2), (32, 48, 1))
    assert sizes.different == 2


def test_of_very_many_sizes_some_are_shown(store: Store, project: Project, add_image) -> None:
    for number in range(SIZES_SHOWN + 3):
        add_image(project, number, width=10 + number)
    sizes = store.project_sizes.of(project)
    assert len(sizes.most_frequent) == SIZES_SHOWN
    assert sizes.different == SIZES_SHOWN + 3


def test_a_wall_is_around_them(store: Store, project: Project, stranger: Project, add_image):
    add_image(project, 1)
    assert store.project_sizes.of(stranger).different == 0
