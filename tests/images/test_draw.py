import io

import numpy as np
from PIL import Image

from atrous.images.draw import class_colors, draw_overlay, encode_jpeg, encode_png

NAMES = ["background", "cat", "dog"]


def scene() -> tuple[np.ndarray, np.ndarray]:
    image = np.full((60, 80, 3), 100, np.uint8)
    labels = np.zeros((60, 80), np.uint8)
    labels[10:30, 10:40] = 1
    labels[35:50, 50:70] = 2
    return image, labels


def test_colors_are_distinct_stable_and_start_black() -> None:
    colors = class_colors(255)
    assert colors[0].tolist() == [0, 0, 0]
    assert len({tuple(color) for color in colors.tolist()}) == 255
    assert np.array_equal(class_colors(5), colors[:5])
    first = colors[:21].astype(int)
    distances = np.abs(first[:, None] - first[None]).sum(axis=2) + 999 * np.eye(21, dtype=int)
    assert distances.min() > 60


def test_background_keeps_the_photo_and_classes_get_half_their_color() -> None:
    image, labels = scene()
    drawn = draw_overlay(image, labels, NAMES, labels=False, stroke=0)
    assert (drawn[labels == 0] == 100).all()
    for index in (1, 2):
        half = (100 + class_colors(3)[index].astype(float)) / 2
        assert np.abs(drawn[labels == index] - half).max() <= 1
    assert (image == 100).all()


def test_contour_has_the_full_color_inside_each_region() -> None:
    image, labels = scene()
    drawn = draw_overlay(image, labels, NAMES, labels=False, stroke=2)
    assert (drawn[10:12, 10:40] == class_colors(3)[1]).all()
    assert not (drawn[12:28, 12:38] == class_colors(3)[1]).all(axis=2).any()
    assert (drawn[9, 10:40] == 100).all()


def test_opacity() -> None:
    image, labels = scene()
    assert np.array_equal(
        draw_overlay(image, labels, NAMES, opacity=0.0, labels=False, stroke=0), image
    )
    full = draw_overlay(image, labels, NAMES, opacity=1.0, labels=False, stroke=0)
    assert (full[labels == 2] == class_colors(3)[2]).all()


def test_background_in_another_place() -> None:
    image, labels = scene()
    drawn = draw_overlay(image, labels, ["cat", "Background", "dog"], labels=False)
    assert (drawn[labels == 1] == 100).all()
    assert (drawn[labels == 2] != 100).any()


def test_legend_names_classes_that_occur() -> None:
    image, labels = scene()
    with_cat = draw_overlay(image, labels, NAMES)
    assert not np.array_equal(with_cat, draw_overlay(image, labels, NAMES, labels=False))
    empty = np.zeros_like(labels)
    assert np.array_equal(draw_overlay(image, empty, NAMES), image)


def test_encoded_files_keep_rgb() -> None:
    image = np.zeros((16, 16, 3), np.uint8)
    image[:] = (250, 100, 10)
    png = np.asarray(Image.open(io.BytesIO(encode_png(image))))
    jpeg = Image.open(io.BytesIO(encode_jpeg(image, 95)))
    assert np.array_equal(png, image)
    assert jpeg.format == "JPEG"
    assert np.abs(np.asarray(jpeg).astype(int) - image).max() < 6
    assert len(encode_jpeg(image, 10)) <= len(encode_jpeg(image, 95))
