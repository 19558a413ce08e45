import pytest

from atrous.datasets.augmentations.augmentation import Augmentation
from atrous.datasets.augmentations.geometry import Flip
from atrous.datasets.preparation import Preparation, Resize
from atrous.datasets.version_steps import (
    VersionSteps,
    read_preparation,
    read_version_steps,
    steps_in_words,
)
from atrous.domain.errors import BadInput
from atrous.domain.geometry import Size
from atrous.domain.recipes import StaticCrop


def test_preprocessing_is_read_as_clients_write_it() -> None:
    steps = read_preparation(
        {
            "auto-orient": True,
            "resize": {"enabled": True, "width": "640", "height": 480, "format": "Fit within"},
            "grayscale": {"enabled": False},
            "contrast": {"type": "Contrast Stretching"},
            "static-crop": {"x_min": 10, "x_max": 90, "y_min": 0, "y_max": 50},
            "tile": {"rows": 2, "columns": 3},
            "remap": {"car": "vehicle", "dirt": None, "mud": "", "enabled": True},
            "filter-null": {"percent": 50},
            "filter-tag": {"require": ["day"], "exclude": ["rain", "fog"]},
            "isolate": True,
        }
    )
    assert steps == Preparation(
        auto_orient=True,
        static_crop=StaticCrop(10.0, 90.0, 0.0, 50.0),
        isolate=True,
        tiles=(2, 3),
        contrast="Contrast Stretching",
        resize=Resize(Size(480, 640), "Fit within"),
        remap=(("car", "vehicle"), ("dirt", ""), ("mud", "")),
        labelled_percent=50.0,
        required_tags=("day",),
        excluded_tags=("rain", "fog"),
    )
    assert read_preparation({}) == Preparation()


def test_spaces_around_a_new_class_name_are_no_part_of_it() -> None:
    remap = {"road ": " road", "a": "a" * 200 + "\n"}
    assert read_preparation({"remap": remap}).remap == (("road ", "road"), ("a", "a" * 200))


def test_steps_are_said_in_words() -> None:
    preprocessing = {
        "auto-orient": True,
        "grayscale": False,
        "tile": {"enabled": False, "rows": 2, "columns": 2},
        "resize": {"enabled": True, "width": 640, "height": 480},
    }
    assert steps_in_words(preprocessing, {"image": {"versions": 3}}) == (
        "preprocessing auto-orient",
        'preprocessing resize: {"width": 640, "height": 480}',
        'augmentation image: {"versions": 3}',
    )
    assert steps_in_words({}, {}) == ()


def test_both_kinds_of_steps() -> None:
    steps = read_version_steps(
        {"grayscale": True, "tile": {"rows": 2, "columns": 3}},
        {"flip": {"horizontal": True}, "image": {"versions": 4}, "bbflip": {"horizontal": True}},
    )
    assert steps.preparation == Preparation(grayscale=True, tiles=(2, 3))
    assert steps.augmentation == Augmentation(versions=4, geometry=(Flip(),))
    assert len(steps.told) == 1
    assert steps.most_pictures == 24
    assert read_version_steps({}, {}) == VersionSteps()
    assert VersionSteps().most_pictures == 1


@pytest.mark.parametrize(
    ("preprocessing", "message"),
    [
        (
            {"sharpen": True},
            "preprocessing 'sharpen' is not offered; known are auto-orient, .*tile",
        ),
        ({"resize": True}, "'resize' has no 'height'; give a whole number from 1 to 8192"),
        (
            {"resize": {"width": 10, "height": 10, "format": "Squeeze"}},
            "'format' is 'Squeeze'; give one of 'Stretch to', ",
        ),
        ({"resize": {"width": 10_000, "height": 10}}, "'width' is '10000'; give a whole number"),
        ({"resize": {"width": "x", "height": 10}}, "'width' is 'x'"),
        ({"resize": {"width": 9, "height": 9, "depth": 9}}, "unknown key 'depth'; it takes width"),
        ({"contrast": {"type": "Strong"}}, "'type' is 'Strong'; give one of 'Adaptive"),
        ({"contrast": True}, "'contrast' has no 'type'"),
        (
            {"static-crop": {"x_min": 90, "x_max": 10, "y_min": 0, "y_max": 50}},
            "'x_min' is '90.0'; give less than 'x_max', which is 10",
        ),
        (
            {"static-crop": {"x_min": "nan", "x_max": 10, "y_min": 0, "y_max": 50}},
            "'x_min' is 'nan'; give a number from 0 to 100",
        ),
        ({"tile": {"rows": 0, "columns": 1}}, "'rows' is '0'; give a whole number from 1 to 20"),
        ({"filter-null": {"percent": 101}}, "'percent' is '101'; give a number from 0 to 100"),
        ({"filter-tag": {"require": "day"}}, "'require' is 'day'; give a list of texts"),
        ({"filter-tag": {"exclude": ["a"] * 101}}, "'exclude' is '101 tags'; give at most 100"),
        ({"filter-tag": {"require": ["a"], "exclude": ["a"]}}, "requires and excludes the tag 'a'"),
        ({"remap": {"car": 3}}, "'car' is '3'; give the new name"),
        ({"remap": {"car": 0}}, "'car' is '0'; give the new name"),
        ({"remap": {"car": " "}}, "'car' is ' '; give the new name, 1 to 200 characters"),
        ({"remap": {"car": "a\nb"}}, "or null to drop the class"),
        ({"remap": {"car": "a\u2028b"}}, "give the new name"),
        ({"remap": {"car": "a" * 201}}, "give the new name"),
        ({"remap": {"car": "__ignore__"}}, "not __ignore__"),
        ({"grayscale": {"weights": 1}}, "'grayscale' has the unknown key 'weights'"),
        ({"isolate": "yes"}, "'isolate' is 'yes'; give an object"),
    ],
)
def test_what_can_not_be_done_is_named(preprocessing, message) -> None:
    with pytest.raises(BadInput, match=message):
        read_version_steps(preprocessing, {})
