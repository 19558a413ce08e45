import math
from pathlib import Path

import numpy as np
import pytest

from atrous.datasets.check import check_dataset
from atrous.datasets.detect import open_dataset
from atrous.datasets.shapes import LEAST_VISIBLE, Shape, draw_picture, write_shapes_dataset
from atrous.domain.errors import Conflict
from atrous.domain.geometry import Size
from atrous.masks.polygons import rasterize_polygons

FEW = {"train": 6, "valid": 2, "test": 1}


def test_written_set_is_recognised_and_sound(tmp_path: Path) -> None:
    folder = write_shapes_dataset(tmp_path / "new/shapes", images=FEW)
    assert [path.name for path in folder.parent.iterdir()] == ["shapes"]
    report = check_dataset(open_dataset(folder))
    assert report.ok
    assert report.dataset.format == "png-mask-semantic"
    assert report.dataset.classes.names == ("background", "circle", "square", "triangle")
    assert {split: counts.images for split, counts in report.counts.items()} == FEW
    for sample in report.dataset.splits["train"]:
        assert sample.image.suffix == ".jpg"
        assert all(160 <= side <= 192 for side in sample.read_label_map().shape)


def test_the_same_seed_draws_the_same_and_another_does_not(tmp_path: Path) -> None:
    one, same, other = (
        write_shapes_dataset(tmp_path / name, images={"train": 2}, size=Size(48, 64), seed=seed)
        for name, seed in (("one", 5), ("same", 5), ("other", 6))
    )
    files = sorted(path.relative_to(one) for path in one.rglob("*.*"))
    assert len(files) == 5
    assert all((one / file).read_bytes() == (same / file).read_bytes() for file in files)
    pictures = [file for file in files if file.suffix == ".jpg"]
    assert all((one / file).read_bytes() != (other / file).read_bytes() for file in pictures)
    assert open_dataset(one).splits["train"][0].read_image().shape == (48, 64, 3)


def test_nothing_is_overwritten_and_nothing_half_done_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/mine.txt").touch()
    with pytest.raises(Conflict, match="kept"):
        write_shapes_dataset(tmp_path / "kept", images=FEW)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("atrous.datasets.shapes._write_picture", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_shapes_dataset(tmp_path / "never", images=FEW)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


@pytest.mark.parametrize(("class_id", "sides"), [(1, 720), (2, 4), (3, 3)])
def test_coverage_is_that_of_the_polygon(class_id: int, sides: int) -> None:
    shape = Shape(class_id=class_id, x=60.3, y=41.7, radius=30.0, angle=0.4)
    # corners lie between the normals of neighbouring sides
    angles = [0.4 + (2 * corner + 1) * math.pi / sides for corner in range(sides)]
    corners = [
        coordinate
        for angle in angles
        for coordinate in (60.3 + 30 * math.cos(angle), 41.7 + 30 * math.sin(angle))
    ]
    coverage = shape.coverage(Size(100, 120))
    expected = rasterize_polygons([corners], Size(100, 120))
    area = sides / 2 * 30**2 * math.sin(2 * math.pi / sides)
    assert float(coverage.sum()) == pytest.approx(area, rel=0.005)
    assert ((coverage >= 0.5) != expected).mean() < 0.005


def test_a_shape_beyond_the_border_is_cut_off() -> None:
    coverage = Shape(class_id=1, x=0.0, y=0.0, radius=20.0, angle=0.0).coverage(Size(40, 50))
    assert float(coverage.sum()) == pytest.approx(math.pi * 400 / 4, rel=0.01)


def test_pictures_show_shapes_of_every_class_and_of_some_size() -> None:
    rng = np.random.default_rng(0)
    pictures = [draw_picture(rng, Size(160, 160)) for _ in range(20)]
    for image, label_map in pictures:
        assert image.std() > 5
        present = np.bincount(label_map.ravel(), minlength=4)[1:]
        assert present.sum() > 0
        # the smallest is a triangle of which just enough is seen
        smallest = LEAST_VISIBLE * 0.75 * math.sqrt(3) * (0.14 * 160) ** 2
        assert all(pixels == 0 or pixels > 0.9 * smallest for pixels in present)
    shown = {int(class_id) for _, label_map in pictures for class_id in np.unique(label_map)}
    assert shown == {0, 1, 2, 3}
