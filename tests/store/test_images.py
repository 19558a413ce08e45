import threading
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import insert, select

from atrous.domain.errors import BadInput, NotFound
from atrous.store import Store
from atrous.store.database import Database
from atrous.store.dataset_tables import images, labels
from atrous.store.images import Image, NewImage
from atrous.store.projects import Project

NEW = NewImage(
    name="a.jpg",
    digest="a" * 64,
    thumb_digest="b" * 64,
    media_type="image/jpeg",
    size_bytes=10,
    height=3,
    width=4,
    split="train",
    batch="first",
    tags=("night", "rain", "night"),
    user_metadata={"camera": 3},
)


def test_a_photo_comes_back(store: Store, project: Project) -> None:
    image, is_new = store.images.add(project, NEW)
    assert is_new
    found = store.images.get(project, image.id)
    assert found == replace(image, tags=("night", "rain"))
    assert not found.annotated
    assert not found.in_dataset
    assert found.user_metadata == {"camera": 3}
    assert store.images.in_workspace(project.workspace_id, image.id) == found
    assert store.projects.get(project.workspace_id, "roads").updated_at >= project.updated_at


def test_one_content_is_one_photo(store: Store, project: Project, stranger: Project) -> None:
    first, _ = store.images.add(project, NEW)
    again, is_new = store.images.add(project, replace(NEW, name="other.jpg"))
    assert not is_new
    assert again.id == first.id
    assert store.images.add(project, replace(NEW, batch="other")) == (again, False)
    assert [batch.name for batch in store.images.batches(project)] == ["first"]
    _, is_new = store.images.add(stranger, NEW)
    assert is_new


def test_many_upload_at_once(store: Store, project: Project) -> None:
    answers: list[tuple[Image, bool]] = []
    failures: list[BaseException] = []

    def upload(start: int) -> None:
        try:
            for number in range(start, start + 6):
                name = f"{number}.jpg"
                answers.append(
                    store.images.add(project, replace(NEW, name=name, digest=f"{number:064}"))
                )
        except BaseException as error:  # noqa: BLE001 - shown below
            failures.append(error)

    threads = [threading.Thread(target=upload, args=(3 * start,)) for start in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert sum(is_new for _, is_new in answers) == 21
    assert store.projects.counts(project).images == 21
    assert [batch.images for batch in store.images.batches(project)] == [21]


def test_a_workspace_is_a_wall(store: Store, project: Project, stranger: Project) -> None:
    image, _ = store.images.add(project, NEW)
    with pytest.raises(NotFound):
        store.images.get(stranger, image.id)
    with pytest.raises(NotFound):
        store.images.in_workspace(stranger.workspace_id, image.id)
    with pytest.raises(NotFound):
        store.images.find_content(stranger, NEW.digest)
    with pytest.raises(NotFound):
        store.images.batch(stranger, image.batch_id)
    assert store.images.batches(stranger) == []
    assert store.images.remove(stranger, [image.id]) == 0
    assert store.images.get(project, image.id)


def test_batches_are_counted(store: Store, project: Project, add_image) -> None:
    first = add_image(project, 1, batch="one")
    add_image(project, 2, batch="two")
    add_image(project, 3, batch="two")
    assert [(batch.name, batch.images) for batch in store.images.batches(project)] == [
        ("one", 1),
        ("two", 2),
    ]
    assert store.images.batch(project, first.batch_id).name == "one"


def test_metadata_and_tags_change(store: Store, project: Project) -> None:
    image, _ = store.images.add(project, NEW)
    store.images.change(
        image,
        metadata={"place": "field"},
        remove_metadata=["camera", "absent"],
        add_tags=["checked", "rain"],
        remove_tags=["night"],
    )
    changed = store.images.get(project, image.id)
    assert changed.tags == ("checked", "rain")
    assert changed.user_metadata == {"place": "field"}


def test_removing_takes_label_and_tags_along(store: Store, project: Project, add_labelled) -> None:
    image = add_labelled(project, 1, tags=("x",))
    kept = add_labelled(project, 2)
    assert store.images.remove(project, [image.id, "absent"]) == 1
    with pytest.raises(NotFound):
        store.images.get(project, image.id)
    assert store.labels.get(image) is None
    assert store.labels.get(kept)
    assert add_labelled(project, 1).id != image.id


@pytest.mark.parametrize(
    "changes",
    [
        {"split": "dev"},
        {"name": ""},
        {"name": "x" * 301},
        {"batch": ""},
        {"tags": ("",)},
        {"tags": ("x" * 101,)},
        {"tags": ("a\0b",)},
        {"tags": tuple(str(number) for number in range(101))},
    ],
)
def test_what_can_not_be_used(store: Store, project: Project, changes) -> None:
    with pytest.raises(BadInput):
        store.images.add(project, replace(NEW, **changes))
    assert store.projects.counts(project).images == 0


def test_a_photo_that_was_removed_meanwhile_is_not_changed(store: Store, project: Project) -> None:
    image, _ = store.images.add(project, NEW)
    store.images.remove(project, [image.id])
    with pytest.raises(NotFound):
        store.images.change(image, metadata={"a": 1}, add_tags=["x"])


def test_metadata_and_tags_have_an_end(store: Store, project: Project) -> None:
    image, _ = store.images.add(project, NEW)
    store.images.change(image, metadata={"a": "x" * 15_000})
    with pytest.raises(BadInput, match="at most 20000"):
        store.images.change(image, metadata={"b": "x" * 15_000})
    with pytest.raises(BadInput, match="101 tags"):
        store.images.change(image, remove_tags=[str(number) for number in range(101)])
    assert list(store.images.get(project, image.id).user_metadata) == ["camera", "a"]


def test_metadata_has_few_levels(store: Store, project: Project) -> None:
    image, _ = store.images.add(project, replace(NEW, user_metadata=nested(32)))
    for levels in (33, 5000):
        with pytest.raises(BadInput, match="more than 32 levels"):
            store.images.add(project, replace(NEW, digest="b" * 64, user_metadata=nested(levels)))
        with pytest.raises(BadInput, match="more than 32 levels"):
            store.images.change(image, metadata=nested(levels))
    assert store.images.get(project, image.id).user_metadata == nested(32)


def nested(levels: int) -> dict[str, Any]:
    inner: Any = 1
    for _ in range(levels):
        inner = {"a": inner}
    return dict(inner)


def test_a_label_that_comes_while_its_photo_goes(
    store: Store, project: Project, add_image, migrated_url: str
) -> None:
    """The label waits for the removal, or the removal for the label: neither breaks the other."""
    image = add_image(project, 1)
    other = Database(migrated_url)
    with other.write() as connection:  # a label in the middle of being saved
        lock = select(images.c.id).where(images.c.id == image.id).with_for_update()
        connection.execute(lock)
        done = threading.Event()

        def remove() -> None:
            assert store.images.remove(project, [image.id]) == 1
            done.set()

        thread = threading.Thread(target=remove)
        thread.start()
        assert not done.wait(0.2)
        row = {"image_id": image.id, "kind": "label", "digest": "0" * 64, "name": "a"}
        about = {"workspace_id": project.workspace_id, "project_id": project.id}
        connection.execute(insert(labels).values(created_at=0.0, **row, **about))
    thread.join()
    other.close()
    assert done.is_set()
    assert store.labels.get(image) is None
