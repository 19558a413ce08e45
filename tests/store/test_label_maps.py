import numpy as np
import pytest

from atrous.domain.errors import BadInput
from atrous.masks.png import decode_label_map
from atrous.store import Store
from atrous.store.label_maps import store_label_map
from atrous.store.projects import Project


def test_a_label_map_gets_the_numbers_of_the_project(store: Store, project: Project) -> None:
    store.projects.number_classes(project, ("tree",))
    label_map = np.array([[0, 1, 2], [2, 2, 255]], np.uint8)
    names = ("background", "road", "tree")
    new = store_label_map(store.projects, store.blobs, project, label_map, names, "")
    known = store.projects.class_names(project)
    road, tree = known.index("road"), known.index("tree")
    expected = [[0, road, tree], [tree, tree, 255]]
    assert decode_label_map(store.blobs.read(new.digest)).tolist() == expected
    assert new.pixels == {road: 1, tree: 3}
    assert new.name == "label"


def test_more_names_than_a_mask_can_hold_are_refused(store: Store, project: Project) -> None:
    names = ("background", *("tree",) * 300)  # few classes, many places
    label_map = np.zeros((2, 2), np.uint8)
    with pytest.raises(BadInput, match="301 class names were given; a mask holds at most 255"):
        store_label_map(store.projects, store.blobs, project, label_map, names, "")
