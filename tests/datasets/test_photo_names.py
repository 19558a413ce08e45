import pytest

from atrous.datasets.photo_names import PhotoNames
from atrous.domain.errors import BadDataset


@pytest.mark.parametrize(
    "photo",
    ["train/a.jpg", "a.jpg", "other/a.jpg", "a.webp", "x\\a.jpg", "images\\train\\a.jpg"],
)
def test_a_photo_is_found_by_its_name_or_a_part_of_it(photo: str) -> None:
    assert PhotoNames(["b.jpg", "train/a.jpg"]).places(photo) == (1,)


def test_the_whole_name_goes_before_its_parts() -> None:
    names = PhotoNames(["train/a.jpg", "valid/a.jpg", "a.png"])
    assert [names.places(name) for name in ("valid/a.jpg", "a.png", "x/a.png")] == [
        (1,),
        (2,),
        (2,),
    ]
    assert PhotoNames(["train/a.jpg", "a.jpg"]).place_of("a.jpg", "f.json") == 1


@pytest.mark.parametrize(
    ("photo", "places"),
    [
        ("images/cam2/1.jpg", (1,)),
        ("images/cam2/1.png", (1,)),
        ("set/images/b/cam1/1.jpg", (3,)),
        ("set/images/c/cam1/1.jpg", (0,)),  # the other one is of b
        ("images/1.jpg", (2,)),  # the others are of folders that it is not in
        ("2.jpg", (4,)),
    ],
)
def test_folders_tell_photos_of_one_name_apart(photo: str, places: tuple[int, ...]) -> None:
    names = PhotoNames(["cam1/1.jpg", "cam2/1.jpg", "1.jpg", "b/cam1/1.jpg", "b\\cam1\\2.jpg"])
    assert names.places(photo) == places


@pytest.mark.parametrize("photo", ["a.jpg", "a.gif", "test/a.jpg"])
def test_of_names_that_can_not_be_told_apart_none_is_taken(photo: str) -> None:
    names = PhotoNames(["train/a.jpg", "valid/a.jpg", "b.jpg"])
    assert names.places(photo) == (0, 1)
    message = f"f.json lists '{photo}' more than once, 2 names fit it: 'train/a.jpg', 'valid/a.jpg'"
    with pytest.raises(BadDataset, match=message):
        names.place_of(photo, "f.json")
    with pytest.raises(BadDataset, match="2 names fit it"):
        PhotoNames(["a.jpg", "a.jpg"]).place_of("a.jpg", "f.json")


def test_a_file_of_one_photo_is_for_whatever_name() -> None:
    assert PhotoNames(["before.jpg"]).places("now.jpg") == ()
    assert PhotoNames(["before.jpg"]).place_of("now.jpg", "f.json") == 0
    with pytest.raises(BadDataset, match=r"f.json does not list 'now.jpg' among its 2"):
        PhotoNames(["a.jpg", "b.jpg"]).place_of("now.jpg", "f.json")
