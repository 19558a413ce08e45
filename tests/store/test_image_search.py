import pytest

from atrous.store import Store
from atrous.store.image_search import MAX_PAGE, ImageQuery
from atrous.store.projects import Project


@pytest.fixture
def filled(store: Store, project: Project, add_image, add_labelled) -> Project:
    store.projects.number_classes(project, ["road", "tree"])
    add_image(project, 1, name="Street_50%.jpg", batch="second")
    add_image(project, 4, name="Ähre_4.jpg")
    add_labelled(project, 2, [1], tags=("rain",))
    add_labelled(project, 3, [1, 2], split="valid")
    return project


@pytest.mark.parametrize(
    ("query", "names"),
    [
        (ImageQuery(), ["photo_003.jpg", "photo_002.jpg", "Ähre_4.jpg", "Street_50%.jpg"]),
        (ImageQuery(text="street_5"), ["Street_50%.jpg"]),
        (ImageQuery(text="%"), ["Street_50%.jpg"]),
        (ImageQuery(text="ÄHRE"), ["Ähre_4.jpg"]),
        (ImageQuery(text="photo", class_name="road", tag="rain"), ["photo_002.jpg"]),
        (ImageQuery(class_name="road", tag="rain", split="valid"), []),
        (ImageQuery(class_name="road", split="valid"), ["photo_003.jpg"]),
        (ImageQuery(tag="rain", in_dataset=True, annotated=True), ["photo_002.jpg"]),
        (ImageQuery(tag="rain"), ["photo_002.jpg"]),
        (ImageQuery(tag="none"), []),
        (ImageQuery(class_name="tree"), ["photo_003.jpg"]),
        (ImageQuery(class_name="road"), ["photo_003.jpg", "photo_002.jpg"]),
        (ImageQuery(class_name="absent"), []),
        (ImageQuery(in_dataset=False), ["Ähre_4.jpg", "Street_50%.jpg"]),
        (ImageQuery(annotated=True, split="valid"), ["photo_003.jpg"]),
    ],
)
def test_photos_are_found(store: Store, filled: Project, query: ImageQuery, names) -> None:
    page = store.image_search.find(filled, query)
    assert [image.name for image in page.images] == names
    assert page.total == len(names)


def test_a_page_says_what_is_on_it(store: Store, filled: Project) -> None:
    page = store.image_search.find(filled, ImageQuery())
    assert page.class_names == (("road", "tree"), ("road",), (), ())
    assert page.images[1].tags == ("rain",)
    assert store.image_search.class_names(filled, page.images[0]) == ("road", "tree")


def test_batches_are_told_apart(store: Store, filled: Project) -> None:
    second = next(batch for batch in store.images.batches(filled) if batch.name == "second")
    page = store.image_search.find(filled, ImageQuery(batch_id=second.id))
    assert [image.name for image in page.images] == ["Street_50%.jpg"]


def test_pages_are_full_and_do_not_overlap(store: Store, project: Project, add_image) -> None:
    for number in range(7):
        add_image(project, number)
    seen = []
    for offset in (0, 3, 6):
        page = store.image_search.find(project, ImageQuery(offset=offset, limit=3))
        assert page.total == 7
        seen += [image.name for image in page.images]
    assert seen == [f"photo_{number:03}.jpg" for number in reversed(range(7))]
    assert len(store.image_search.find(project, ImageQuery(limit=MAX_PAGE + 1)).images) == 7


def test_a_workspace_is_a_wall(store: Store, filled: Project, stranger: Project) -> None:
    assert store.image_search.find(stranger, ImageQuery()).total == 0
    tagged = store.image_search.find(stranger, ImageQuery(tag="rain", class_name="road"))
    assert tagged.images == ()
