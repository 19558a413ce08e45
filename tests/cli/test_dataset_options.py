from pathlib import Path

import pytest
import typer

from atrous.cli.dataset_options import read_dataset_options


def test_class_names_are_parted_and_trimmed() -> None:
    options = read_dataset_options("folders", "sky, road,car", None, 11, seed=4)
    assert options.classes == ("sky", "road", "car")
    assert (options.format, options.ignore_id, options.seed) == ("folders", 11, 4)


def test_nothing_said_is_nothing_set() -> None:
    options = read_dataset_options(None, None, None, None)
    assert (options.format, options.classes, options.classes_file) == (None, None, None)


def test_naming_the_classes_twice_is_wrong_usage() -> None:
    with pytest.raises(typer.BadParameter, match="not both"):
        read_dataset_options(None, "sky", Path("classes.txt"), None)
