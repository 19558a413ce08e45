import pytest

from atrous.datasets.photo_names import PhotoNames


@pytest.mark.parametrize("photo", ["train/a.jpg", "a.jpg", "other/a.jpg", "a.webp", "x\\a.jpg"])
def test_a_photo_is_found_by_its_name_or_a_part_of_it(photo: str) -> None:
    assert PhotoNames(["b.jpg", "train/a.jpg"]).find(photo) == 1


def test_the_whole_name_goes_before_its_parts() -> None:
    names = PhotoNames(["train/a.jpg", "valid/a.jpg", "a.png"])
    assert [names.find(name) for name in ("valid/a.jpg", "a.png", "a.jpg", "a.gif")] == [1, 2, 0, 0]


def test_a_file_of_one_photo_is_for_whatever_name() -> None:
    assert PhotoNames(["before.jpg"]).find("now.jpg") is None
    assert PhotoNames(["before.jpg"]).find_or_only("now.jpg") == 0
    assert PhotoNames(["a.jpg", "b.jpg"]).find_or_only("now.jpg") is None
