from collections.abc import Callable

import numpy as np
import pytest

from atrous.domain.errors import BadInput, Conflict
from atrous.masks.png import decode_label_map
from atrous.store import Store
from atrous.store.images import Image
from atrous.store.label_maps import store_label_map
from atrous.store.labels import NewLabel
from atrous.store.projects import Project

LABEL_MAP = np.array([[0, 1, 2], [2, 2, 255]], np.uint8)
NAMES = ("background", "road", "tree")


def stored(
    store: Store, project: Project, label_map: np.ndarray, names: tuple[str, ...] = NAMES
) -> NewLabel:
    return store_label_map(store.projects, store.blobs, project, label_map, names, "")


def test_a_label_map_gets_the_numbers_of_the_project(
    store: Store, project: Project, add_image: Callable[..., Image]
) -> None:
    store.projects.number_classes(project, ("tree",))
    new = stored(store, project, LABEL_MAP)
    assert store.projects.class_names(project) == ("background", "tree")  # nothing is kept yet
    store.labels.save(add_image(project, 1), new)
    assert store.projects.class_names(project) == ("background", "tree", "road")
    expected = [[0, 2, 1], [1, 1, 255]]
    assert decode_label_map(store.blobs.read(new.digest)).tolist() == expected
    assert new.pixels == {2: 1, 1: 3}
    assert new.name == "label"


def test_classes_that_no_pixel_shows_are_not_added(
    store: Store, project: Project, add_image: Callable[..., Image]
) -> None:
    new = stored(store, project, np.full((2, 2), 2, np.uint8), ("background", "road", " tree "))
    store.labels.save(add_image(project, 1), new)
    assert store.projects.class_names(project) == ("background", "tree")
    suggested = stored(store, project, LABEL_MAP, ("background", "tree", "car"))
    store.labels.suggest(add_image(project, 2), suggested)
    assert store.projects.class_names(project) == ("background", "tree", "car")


def test_a_label_that_is_refused_adds_no_class(
    store: Store, project: Project, add_image: Callable[..., Image]
) -> None:
    image = add_image(project, 1)
    store.labels.save(image, stored(store, project, LABEL_MAP))
    other = stored(store, project, LABEL_MAP, ("background", "tree", "car"))
    with pytest.raises(Conflict, match="already annotated"):
        store.labels.save(image, other)
    assert store.projects.class_names(project) == NAMES
    store.labels.save(image, other, overwrite=True)
    assert store.projects.class_names(project) == (*NAMES, "car")


@pytest.mark.parametrize("keep", ["save", "suggest"])
def test_a_class_whose_number_was_taken_meanwhile_gets_another(
    store: Store, project: Project, add_image: Callable[..., Image], keep: str
) -> None:
    new = stored(store, project, LABEL_MAP)
    store.projects.number_classes(project, ("car", "tree"))
    image = add_image(project, 1)
    getattr(store.labels, keep)(image, new)
    assert store.projects.class_names(project) == ("background", "car", "tree", "road")
    label = store.labels.get(image, "label" if keep == "save" else "prediction")
    assert label is not None
    kept = decode_label_map(store.blobs.read(label.digest))
    assert kept.tolist() == [[0, 3, 2], [2, 2, 255]]


def test_more_names_than_a_mask_can_hold_are_refused(store: Store, project: Project) -> None:
    names = ("background", *("tree",) * 300)  # few classes, many places
    with pytest.raises(BadInput, match="301 class names were given; a mask holds at most 255"):
        stored(store, project, np.zeros((2, 2), np.uint8), names)


def test_names_that_can_not_be_kept_are_refused(store: Store, project: Project) -> None:
    """Also where no pixel shows them: the list of a file is right or wrong as a whole."""
    with pytest.raises(BadInput, match="class name"):
        stored(store, project, np.zeros((2, 2), np.uint8), ("background", "a\nb"))
