from pathlib import Path

import pytest

from atrous.datasets.unrecognised import describe_unrecognised


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ([], "there are no pictures in it"),
        ([".hidden.jpg"], "there are no pictures in it"),
        (["a.jpg", "b.JPG"], "2 pictures and no labels"),
        (["photos/a.jpg", "gt/a.png"], "2 pictures in gt/, photos/ and no labels"),
        (["a.jpg", "a.json"], "1 pictures and 1 *.json, which are no labels of theirs"),
        (["a.jpg", "a_mask.png"], "1 *_mask.png but no _classes.csv beside them"),
        (["Images/a.jpg", "Masks/a.png"], "Images, Masks: write them in lower case"),
        (["images/Train/a.jpg", "masks/Train/a.png"], "Train: write them in lower case"),
        (["JPEGImages/a.jpg"], "1 pictures in JPEGImages/ and no labels"),
    ],
)
def test_what_is_there_is_said_first(tmp_path: Path, files: list[str], said: str) -> None:
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_bytes(b"")
    assert describe_unrecognised(tmp_path, lambda _: False).startswith(said)


def test_folders_that_are_data_sets_are_named(tmp_path: Path) -> None:
    for name in ("camvid", "nuclei", "notes", ".git"):
        (tmp_path / name).mkdir()
    said = describe_unrecognised(tmp_path, lambda path: path.name != "notes")
    assert said == "data sets lie in camvid/, nuclei/: name one of them"
    one = describe_unrecognised(tmp_path, lambda path: path.name == "nuclei")
    assert one == "a data set lies in nuclei/: name that folder"
