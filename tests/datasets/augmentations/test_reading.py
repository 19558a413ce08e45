import pytest

from atrous.datasets.augmentations.augmentation import Augmentation
from atrous.datasets.augmentations.blur import Blur, MotionBlur
from atrous.datasets.augmentations.colour import (
    Brightness,
    Exposure,
    Hue,
    RandomGrayscale,
    Saturation,
)
from atrous.datasets.augmentations.erasing import Cutout
from atrous.datasets.augmentations.geometry import Crop, Flip, QuarterTurn, Rotate, Shear
from atrous.datasets.augmentations.noise import CameraGain, Noise
from atrous.datasets.augmentations.reading import augmentation_from_text, read_augmentation
from atrous.domain.errors import BadInput

EVERYTHING = {
    "image": {"versions": 32},
    "flip": {"enabled": True, "horizontal": True, "vertical": False},
    "ninety": {"clockwise": True, "counter-clockwise": False, "upside-down": False},
    "crop": {"min": 12, "max": 71},
    "rotate": {"degrees": 45},
    "shear": {"horizontal": 45, "vertical": "45"},
    "rgrayscale": {"percent": 50},
    "hue": {"degrees": 180},
    "saturation": {"percent": 50},
    "brightness": {"brighten": True, "darken": False, "percent": 91},
    "exposure": {"percent": 30},
    "blur": {"pixels": 1.5},
    "motion-blur": {"length": 100, "angle": 90, "frames": 2},
    "camera-gain": {"variance": 0.01},
    "noise": {"percent": 50},
    "cutout": {"count": 26, "percent": 71},
    "mosaic": True,
}


def test_every_step_is_read_as_clients_write_it() -> None:
    augmentation, told = read_augmentation(dict(reversed(EVERYTHING.items())))
    assert augmentation == Augmentation(
        versions=32,
        mosaic=True,
        geometry=(
            Flip(True, False),
            QuarterTurn(True, False, False),
            Crop(12.0, 71.0),
            Rotate(45.0),
            Shear(45.0, 45.0),
        ),
        look=(
            RandomGrayscale(50.0),
            Hue(180.0),
            Saturation(50.0),
            Brightness(91.0, True, False),
            Exposure(30.0),
            Blur(1.5),
            MotionBlur(100.0, 90.0, 2),
            CameraGain(0.01),
            Noise(50.0),
        ),
        cutout=Cutout(26, 71.0),
    )
    assert told == []


def test_none_at_all_and_switched_off() -> None:
    assert read_augmentation({}) == (Augmentation(), [])
    off = {"flip": {"enabled": False, "horizontal": True}, "mosaic": False, "blur": None}
    assert read_augmentation(off) == (Augmentation(), [])


def test_a_text_as_recipes_have_it() -> None:
    assert augmentation_from_text("") == (Augmentation(), [])
    augmentation, told = augmentation_from_text('{"rotate": {"degrees": 9}}')
    assert (augmentation.geometry, told) == ((Rotate(9.0),), [])
    for text, message in (
        ("{", "is no JSON"),
        ("[]", "a JSON object"),
        ('{"x": 1}', "not offered"),
    ):
        with pytest.raises(BadInput, match=message):
            augmentation_from_text(text)


def test_a_recipe_s_steps_that_do_nothing_are_told_of() -> None:
    text = '{"bbflip": {"horizontal": true}, "mosaic": true, "image": {"versions": 3}}'
    _, told = augmentation_from_text(text)
    assert [note.split("'")[1] for note in told] == ["bbflip", "image"]
    assert "a training draws every step anew" in told[1]


def test_the_older_form_of_crop() -> None:
    assert read_augmentation({"crop": {"percent": 20, "min": 5}})[0].geometry == (Crop(5.0, 20.0),)


def test_steps_of_boxes_are_left_out_and_told_of() -> None:
    boxed = {"bbblur": {"pixels": 1.5}, "bbninety": {"clockwise": True}, "bbflip": False}
    augmentation, told = read_augmentation(boxed)
    assert augmentation == Augmentation()
    assert [text.split("'")[1] for text in told] == ["bbblur", "bbninety"]


def test_copies_that_nothing_tells_apart_are_told_of() -> None:
    augmentation, told = read_augmentation({"image": {"versions": 3}})
    assert augmentation.copies == 1
    assert "one is made" in told[0]


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ({"swirl": True}, "augmentation 'swirl' is not offered; known are .*mosaic"),
        ({"rotate": {"degrees": 181}}, "'rotate': 'degrees' is '181'; give a number from 0 to 180"),
        ({"rotate": {}}, "'rotate' has no 'degrees'; give a number from 0 to 180"),
        ({"rotate": True}, "'rotate' has no 'degrees'"),
        ({"rotate": {"degrees": 5, "angle": 5}}, "unknown key 'angle'; it takes degrees"),
        ({"rotate": 45}, "'rotate' is '45'; give an object of options, true or false"),
        ({"rotate": {"degrees": "nan"}}, "'degrees' is 'nan'"),
        ({"hue": {"degrees": True}}, "'degrees' is 'True'"),
        ({"flip": {"horizontal": "yes"}}, "'horizontal' is 'yes'; give true or false"),
        ({"flip": {}}, "give true for one or more of horizontal, vertical"),
        ({"ninety": {"clockwise": False}}, "one or more of clockwise, counter-clockwise"),
        ({"flip": {"enabled": 1}}, "'enabled' is '1'; give true or false"),
        ({"crop": {"min": 50, "max": 20}}, "'crop': 'min' is '50'; give a number from 0 to 20"),
        ({"brightness": {"percent": 9, "brighten": False, "darken": False}}, "brighten, darken"),
        ({"image": {"versions": 51}}, "'versions' is '51'; give a whole number from 1 to 50"),
        ({"image": {"versions": 1.5}}, "'versions' is '1.5'; give a whole number"),
        ({"cutout": {"count": 0, "percent": 9}}, "'count' is '0'; give a whole number from 1"),
        ({"mosaic": {"count": 4}}, "'mosaic' has the unknown key 'count'; it takes no options"),
        ({"camera-gain": {"variance": -1}}, "'variance' is '-1'; give a number from 0 to 0.5"),
    ],
)
def test_what_can_not_be_done_is_named(steps, message) -> None:
    with pytest.raises(BadInput, match=message):
        read_augmentation(steps)
