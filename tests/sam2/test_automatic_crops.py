"""Automatic masks with crops, against the official generator on the same answers of a network."""

import warnings
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional

from atrous.domain.geometry import Box, Size
from atrous.domain.prompts import Point, Prompt
from atrous.sam2.automatic_masks import AutomaticMask, AutomaticSettings, find_masks
from atrous.sam2.embedding import Embedding
from atrous.sam2.segmenter import InteractiveSegmenter, Sam2Masks


def generate(network: Any, predictor: Any, photo: np.ndarray, **settings: Any) -> list[Any]:
    """What the official generator finds with a predictor of choice."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch.jit
        from sam2.automatic_mask_generator import SAM2AutomaticMaskGenerator

        generator = SAM2AutomaticMaskGenerator(network, **settings)
    generator.predictor = predictor
    return list(generator.generate(photo))


def insist_on_same(ours: list[AutomaticMask], official: list[Any]) -> None:
    assert len(ours) == len(official)
    for one, other in zip(ours, official, strict=True):
        left, top, width, height = map(int, other["bbox"])
        assert one.box == Box(left, top, left + width + 1, top + height + 1)
        assert one.predicted_iou == pytest.approx(other["predicted_iou"], abs=1e-5)
        assert one.stability == pytest.approx(other["stability_score"], abs=1e-3)
        assert one.point == pytest.approx(other["point_coords"][0], abs=1e-3)
        left, top, width, height = map(int, other["crop_box"])
        assert one.crop == Box(left, top, left + width, top + height)
        assert np.mean(one.mask == other["segmentation"]) >= 0.9999
        assert one.area == pytest.approx(other["area"], abs=2)


class LevelSegmenter(InteractiveSegmenter):
    """Sees three masks round a point: its grey level, that and brighter ones, and a part of it."""

    def __init__(self) -> None:
        """Nothing is loaded."""

    def embed(self, image: np.ndarray) -> Embedding:
        levels = image[None, :, :, 0].astype(np.float32)
        return Embedding(Size(*image.shape[:2]), levels, (levels, levels))

    def segment(self, embedding: Embedding, prompts: Any, *, multimask: bool) -> list[Sam2Masks]:
        assert multimask
        levels = embedding.image_embeddings[0]
        rows, columns = np.ogrid[: levels.shape[0], : levels.shape[1]]
        answers = []
        for prompt in prompts:
            x, y = prompt.points[0].x, prompt.points[0].y
            level = levels[int(y), int(x)]
            near = (rows - y) ** 2 + (columns - x) ** 2 < 15**2
            # Two levels that don't cancel: no logit is 0, where rounding alone would decide.
            logits = [
                cv2.resize(np.where(mask, 8.0, -7.3), (256, 256), interpolation=cv2.INTER_AREA)
                for mask in (levels == level, levels >= level, (levels == level) & near)
            ]
            # As sure as the place says: no two are alike, so that the order is of no account.
            place = [round(100 * x), round(100 * y)]  # both sides round points differently
            sure = 0.7 + 0.25 * np.random.default_rng(place).random(3)
            answers.append(Sam2Masks(np.float32(logits), np.float32(sure)))
        return answers


class OfficialWay:
    """The same answers as the official generator asks for them."""

    device = torch.device("cpu")

    def __init__(self, segmenter: LevelSegmenter) -> None:
        self._segmenter = segmenter
        self._transforms = self

    def set_image(self, image: np.ndarray) -> None:
        self._embedding = self._segmenter.embed(image)

    def reset_predictor(self) -> None:
        """Each crop sets its own."""

    def transform_coords(self, points: torch.Tensor, **_: Any) -> torch.Tensor:
        return points  # this network takes pixels

    def _predict(
        self, points: torch.Tensor, labels: torch.Tensor, **_: Any
    ) -> tuple[torch.Tensor, ...]:
        prompts = [Prompt(points=(Point(x, y, positive=True),)) for [[x, y]] in points.tolist()]
        answers = self._segmenter.segment(self._embedding, prompts, multimask=True)
        low_res = torch.from_numpy(np.stack([one.low_res_logits for one in answers]))
        size = self._embedding.photo_size
        masks = torch.nn.functional.interpolate(
            low_res, (size.height, size.width), mode="bilinear", align_corners=False
        )
        sure = torch.from_numpy(np.stack([one.predicted_iou for one in answers]))
        return masks, sure, low_res


def shapes(height: int, width: int) -> np.ndarray:
    """Many objects of different grey levels, some within others, some at edges of crops."""
    random = np.random.default_rng(1)
    photo = np.zeros((height, width, 3), np.uint8)
    for level in range(40, 250, 12):
        place = (int(random.integers(width)), int(random.integers(height)))
        axes = (int(random.integers(6, 45)), int(random.integers(6, 35)))
        angle = float(random.uniform(0, 180))
        cv2.ellipse(photo, place, axes, angle, 0, 360, (level, level, level), -1)
    return photo


@pytest.mark.parametrize(
    ("layers", "downscale", "size"),
    [(1, 1, (200, 300)), (1, 2, (231, 189)), (2, 2, (190, 280))],
)
def test_crops_find_what_the_official_generator_finds(
    official_network: Any, layers: int, downscale: int, size: tuple[int, int]
) -> None:
    photo = shapes(*size)
    segmenter = LevelSegmenter()
    official = generate(
        official_network,
        OfficialWay(segmenter),
        photo,
        points_per_side=8,
        points_per_batch=16,
        stability_score_thresh=0.9,
        crop_n_layers=layers,
        crop_n_points_downscale_factor=downscale,
    )
    settings = AutomaticSettings(
        points_per_side=8,
        points_per_batch=7,
        least_stability=0.9,
        crop_layers=layers,
        crop_points_downscale=downscale,
    )
    ours = find_masks(segmenter, photo, settings)
    insist_on_same(ours, official)
    crops = {one.crop for one in ours}
    assert len(ours) > 10
    assert len(crops) > 3
    assert Box(0, 0, size[1], size[0]) in crops


@pytest.mark.parametrize("least", [0.0, -1.0])
def test_no_least_iou_keeps_all(official_network: Any, least: float) -> None:
    """The official generator looks at the predicted IoU only where the threshold is positive."""
    segmenter, photo = LevelSegmenter(), shapes(200, 150)
    bars = {"points_per_side": 4, "crop_n_layers": 1}
    official = generate(
        official_network, OfficialWay(segmenter), photo, pred_iou_thresh=least, **bars
    )
    settings = AutomaticSettings(points_per_side=4, crop_layers=1, least_predicted_iou=least)
    insist_on_same(find_masks(segmenter, photo, settings), official)
