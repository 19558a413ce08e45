import pytest

from atrous.domain.errors import Conflict, NotFound
from atrous.store import Store
from atrous.store.labels import NewLabel
from atrous.store.projects import Project

FIRST = NewLabel("1" * 64, "a.json", {1: 10})
SECOND = NewLabel("2" * 64, "b.json", {2: 20})


@pytest.fixture(autouse=True)
def classes(store: Store, project: Project) -> None:
    store.projects.number_classes(project, ["road", "tree"])


def test_a_label_comes_back_and_puts_the_photo_into_the_data_set(
    store: Store, project: Project, add_image
) -> None:
    image = add_image(project, 1)
    assert store.labels.get(image) is None
    store.labels.save(image, FIRST)
    label = store.labels.get(image)
    assert label is not None
    assert (label.digest, label.name, label.kind) == (FIRST.digest, "a.json", "label")
    labelled = store.images.get(project, image.id)
    assert labelled.annotated
    assert labelled.in_dataset


def test_a_label_can_wait_outside_the_data_set(store: Store, project: Project, add_image) -> None:
    image = add_image(project, 1)
    store.labels.save(image, FIRST, add_to_dataset=False)
    waiting = store.images.get(project, image.id)
    assert waiting.annotated
    assert not waiting.in_dataset
    store.labels.save(image, FIRST)
    assert store.images.get(project, image.id).in_dataset


def test_a_label_is_replaced_on_purpose_only(store: Store, project: Project, add_image) -> None:
    image = add_image(project, 1)
    store.labels.save(image, FIRST)
    store.labels.save(image, FIRST)
    with pytest.raises(Conflict, match="already annotated"):
        store.labels.save(image, SECOND)
    assert store.image_search.class_names(project, image) == ("road",)
    store.labels.save(image, SECOND, overwrite=True)
    label = store.labels.get(image)
    assert label is not None
    assert label.digest == SECOND.digest
    assert store.image_search.class_names(project, image) == ("tree",)


def test_a_suggestion_never_joins_the_data_set(store: Store, project: Project, add_image) -> None:
    image = add_image(project, 1)
    store.labels.suggest(image, FIRST)
    store.labels.suggest(image, SECOND)
    suggested = store.labels.get(image, "prediction")
    assert suggested is not None
    assert suggested.digest == SECOND.digest
    assert store.labels.get(image) is None
    waiting = store.images.get(project, image.id)
    assert not waiting.annotated
    assert not waiting.in_dataset
    assert store.image_search.class_names(project, image) == ()
    assert store.projects.counts(project).classes == {"road": 0, "tree": 0}


def test_a_photo_that_is_gone_can_not_be_labelled(
    store: Store, project: Project, add_image
) -> None:
    image = add_image(project, 1)
    store.images.remove(project, [image.id])
    with pytest.raises(NotFound):
        store.labels.save(image, FIRST)
    with pytest.raises(NotFound):
        store.labels.suggest(image, FIRST)
