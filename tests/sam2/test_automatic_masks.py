import math
import warnings
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from atrous.domain.geometry import Box, Size
from atrous.sam2 import automatic_masks
from atrous.sam2.automatic_masks import (
    AutomaticSettings,
    crop_boxes,
    find_masks,
    point_grid,
    suppress_overlaps,
)
from atrous.sam2.embedding import Embedding
from atrous.sam2.segmenter import InteractiveSegmenter, Sam2Masks


def official_generator(network: Any, **settings: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch.jit
        from sam2.automatic_mask_generator import SAM2AutomaticMaskGenerator

        return SAM2AutomaticMaskGenerator(network, **settings)


def test_defaults_are_the_official_ones(official_network: Any) -> None:
    official = official_generator(official_network)
    ours = AutomaticSettings()
    assert official.point_grids[0].tolist() == point_grid(ours.points_per_side).tolist()
    for name, value in {
        "points_per_batch": ours.points_per_batch,
        "pred_iou_thresh": ours.least_predicted_iou,
        "stability_score_thresh": ours.least_stability,
        "stability_score_offset": ours.stability_offset,
        "box_nms_thresh": ours.box_nms_iou,
        "crop_n_layers": ours.crop_layers,
        "crop_nms_thresh": ours.crop_nms_iou,
        "crop_overlap_ratio": ours.crop_overlap,
        "crop_n_points_downscale_factor": ours.crop_points_downscale,
    }.items():
        assert getattr(official, name) == value, name


def test_finds_what_the_official_generator_finds(
    official_network: Any, exact: InteractiveSegmenter, embeddings: Any, photos: Any
) -> None:
    """Thresholds suit the random weights, whose masks are unsure and all reach over the photo."""
    photo = photos["odd"]
    official = official_generator(
        official_network,
        points_per_side=3,
        pred_iou_thresh=0.25,
        stability_score_thresh=0.4,
        stability_score_offset=0.7,
        box_nms_thresh=1.0,
    ).generate(photo)
    settings = AutomaticSettings(
        points_per_side=3,
        points_per_batch=5,
        least_predicted_iou=0.25,
        least_stability=0.4,
        stability_offset=0.7,
        box_nms_iou=1.0,
    )
    steps: list[tuple[int, int]] = []
    ours = find_masks(
        exact,
        photo,
        settings,
        embedding=embeddings["odd"],
        on_point=lambda done, total: steps.append((done, total)),
    )
    assert steps == [(done, 9) for done in range(1, 10)]
    assert len(ours) == len(official)
    assert len(ours) > 1
    for one, other in zip(ours, official, strict=True):
        left, top, width, height = map(int, other["bbox"])
        assert one.box == Box(left, top, left + width + 1, top + height + 1)
        assert one.predicted_iou == pytest.approx(other["predicted_iou"], abs=1e-5)
        assert one.stability == pytest.approx(other["stability_score"], abs=1e-3)
        assert one.point == pytest.approx(other["point_coords"][0])
        assert np.mean(one.mask == other["segmentation"]) >= 0.9999
        assert one.area == np.count_nonzero(one.mask)
        assert other["crop_box"] == [0, 0, 217, 333]


class DiscSegmenter(InteractiveSegmenter):
    """Sees an object in every stretch of one grey level that is not black."""

    def __init__(self) -> None:
        self.embedded: list[tuple[int, ...]] = []

    def embed(self, image: np.ndarray) -> Embedding:
        self.embedded.append(image.shape[:2])
        levels = image[None, :, :, 0].astype(np.float32)
        return Embedding(Size(*image.shape[:2]), levels, (levels, levels))

    def segment(self, embedding: Embedding, prompts: Any, *, multimask: bool) -> list[Sam2Masks]:
        levels = embedding.image_embeddings[0]
        answers = []
        for prompt in prompts:
            level = levels[int(prompt.points[0].y), int(prompt.points[0].x)]
            logits = np.where(levels == level, 20.0, -20.0).astype(np.float32)
            small = np.asarray(cv2.resize(logits, (256, 256), interpolation=cv2.INTER_AREA))
            score = np.array([0.9 if level else 0.1], np.float32)
            answers.append(Sam2Masks(small[None], score))
        return answers


def test_each_object_is_found_once_in_the_smallest_crop() -> None:
    photo = np.zeros((400, 600, 3), np.uint8)
    cv2.circle(photo, (80, 80), 40, (100, 100, 100), -1)  # within the first of four crops
    cv2.circle(photo, (300, 200), 90, (200, 200, 200), -1)  # cut off by all of them
    segmenter = DiscSegmenter()
    settings = AutomaticSettings(points_per_side=6, least_stability=0.8, crop_layers=1)
    found = {one.area > 10_000: one for one in find_masks(segmenter, photo, settings)}
    assert segmenter.embedded == [(400, 600)] + [(268, 368)] * 4
    assert len(find_masks(segmenter, photo, settings)) == 2
    small, large = found[False], found[True]
    assert small.crop == Box(0, 0, 368, 268)
    assert large.crop == Box(0, 0, 600, 400)
    for one, level in ((small, 100), (large, 200)):
        assert np.mean(one.mask == (photo[:, :, 0] == level)) > 0.995
        assert photo[int(one.point[1]), int(one.point[0]), 0] == level
    box = small.box
    assert [box.left, box.top, box.right, box.bottom] == pytest.approx([40, 40, 121, 121], abs=2)


def test_small_regions_go_and_duplicates_with_them() -> None:
    """As the official `postprocess_small_regions`, which prefers masks that needed no change."""
    generator = pytest.importorskip("sam2.automatic_mask_generator")
    amg = pytest.importorskip("sam2.utils.amg")
    photo = np.zeros((400, 600, 3), np.uint8)
    cv2.circle(photo, (150, 200), 100, (100, 100, 100), -1)
    cv2.circle(photo, (150, 200), 20, (0, 0, 0), -1)  # a hole
    cv2.circle(photo, (400, 200), 80, (200, 200, 200), -1)
    cv2.circle(photo, (550, 60), 15, (200, 200, 200), -1)  # an island
    settings = AutomaticSettings(points_per_side=8, least_stability=0.8)
    before = find_masks(DiscSegmenter(), photo, settings)
    found = find_masks(DiscSegmenter(), photo, replace(settings, least_region_area=2000))
    masks = torch.from_numpy(np.stack([one.mask for one in before]))
    data = amg.MaskData(rles=amg.mask_to_rle_pytorch(masks), boxes=amg.batched_mask_to_box(masks))
    clean = generator.SAM2AutomaticMaskGenerator.postprocess_small_regions
    expected = [amg.rle_to_mask(rle) for rle in clean(data, 2000, 0.7)["rles"]]
    assert len(found) == len(expected) == 2
    for one, mask in zip(found, expected, strict=True):
        assert np.array_equal(one.mask, mask)
        assert one.area == mask.sum()
        rows, columns = np.nonzero(mask)
        assert (one.box.top, one.box.bottom) == (rows.min(), rows.max() + 1)
        assert (one.box.left, one.box.right) == (columns.min(), columns.max() + 1)


def test_empty_search_finds_nothing(exact: InteractiveSegmenter, photos: Any) -> None:
    settings = AutomaticSettings(points_per_side=2, least_predicted_iou=1.0)
    assert find_masks(exact, photos["odd"], settings) == []


def test_a_known_embedding_is_not_computed_again(
    exact: InteractiveSegmenter, embeddings: Any, photos: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exact, "embed", None)
    settings = AutomaticSettings(points_per_side=1, least_predicted_iou=0.0, least_stability=0.0)
    found = find_masks(exact, photos["odd"], settings, embedding=embeddings["odd"])
    assert found
    assert found[0].point == pytest.approx((217 / 2, 333 / 2))


def test_what_a_callback_raises_ends_the_search(
    exact: InteractiveSegmenter, embeddings: Any, photos: Any
) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    settings = AutomaticSettings(points_per_side=8, points_per_batch=1)
    with pytest.raises(KeyboardInterrupt):
        find_masks(exact, photos["odd"], settings, embedding=embeddings["odd"], on_point=stop)


def test_grid_is_in_the_middles_of_cells() -> None:
    assert point_grid(1).tolist() == [[0.5, 0.5]]
    assert point_grid(2).tolist() == [[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]]


@pytest.mark.parametrize("size", [Size(333, 217), Size(480, 640), Size(50, 2000)])
@pytest.mark.parametrize("layers", [0, 1, 2])
def test_crops_are_the_official_ones(size: Size, layers: int) -> None:
    amg = pytest.importorskip("sam2.utils.amg")
    boxes, indices = amg.generate_crop_boxes((size.height, size.width), layers, 512 / 1500)
    ours = crop_boxes(size, AutomaticSettings(crop_layers=layers))
    assert [[box.left, box.top, box.right, box.bottom] for box, _ in ours] == boxes
    assert [layer for _, layer in ours] == indices


@pytest.mark.parametrize(("size", "layers"), [(Size(1, 1), 1), (Size(5, 1000), 2)])
def test_crops_of_tiny_photos_have_pixels(size: Size, layers: int) -> None:
    boxes = crop_boxes(size, AutomaticSettings(crop_layers=layers))
    assert all(0 <= box.left < box.right <= size.width for box, _ in boxes)
    assert all(0 <= box.top < box.bottom <= size.height for box, _ in boxes)
    segmenter = DiscSegmenter()
    photo = np.full((size.height, size.width, 3), 100, np.uint8)
    find_masks(segmenter, photo, AutomaticSettings(points_per_side=1, crop_layers=layers))
    assert segmenter.embedded == [(box.bottom - box.top, box.right - box.left) for box, _ in boxes]


@pytest.mark.parametrize("most_iou", [0.1, 0.5, 0.7])
def test_suppression_is_torchvisions(most_iou: float) -> None:
    from torchvision.ops import nms

    random = np.random.default_rng(0)
    corners = random.integers(0, 60, (300, 2))
    boxes = np.concatenate([corners, corners + random.integers(0, 40, (300, 2))], 1).astype(float)
    scores = random.random(300).round(2)  # some are equal
    expected = nms(torch.from_numpy(boxes), torch.from_numpy(scores), most_iou)
    assert suppress_overlaps(boxes, scores, most_iou) == expected.tolist()


def test_objects_cut_off_by_a_crop_are_left_out() -> None:
    crop, photo = Box(0, 0, 100, 100), Size(200, 200)
    cut_off = automatic_masks._is_cut_off
    assert cut_off((50, 50, 95, 60), crop, photo)  # the crop's right edge
    assert not cut_off((5, 5, 60, 60), crop, photo)  # the photo's own corner
    assert not cut_off((30, 30, 60, 60), crop, photo)


def test_stability_and_extent_of_odd_masks() -> None:
    empty = np.full((4, 5), -9.0, np.float32)
    assert math.isnan(automatic_masks._stability(empty, 1.0))
    assert automatic_masks._extent(empty > 0) == (0, 0, 0, 0)
    empty[1:3, 2] = [0.5, 9.0]
    assert automatic_masks._stability(empty, 1.0) == 0.5
    assert automatic_masks._extent(empty > 0) == (2, 1, 2, 2)
