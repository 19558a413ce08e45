from pathlib import Path

import pytest
from serving.cases import BACKBONES, CLASS_COUNTS, QUICK, all_cases, chosen, random_model

MODELS = [random_model(b, k, Path("packages")) for b in BACKBONES for k in CLASS_COUNTS]
CASES = all_cases(MODELS)


def test_every_backbone_class_count_and_photo_is_a_case() -> None:
    assert len(CASES) == len({case.name for case in CASES}) == 27
    assert CASES[0].name == "mobilenetv2_100-2-640x480"
    assert chosen(CASES, None) == CASES


@pytest.mark.parametrize(
    ("pattern", "count"),
    [("resnet50", 9), ("resnet50-21", 3), ("1232x821", 9), ("-21-1232", 3), ("50-*-4000", 3)],
)
def test_cases_are_chosen_by_a_part_of_their_name(pattern: str, count: int) -> None:
    assert len(chosen(CASES, pattern)) == count


def test_two_classes_are_not_twenty_one() -> None:
    assert {case.model.classes for case in chosen(CASES, "resnet50-2-")} == {2}


def test_the_quick_case_is_one_that_goals_are_about() -> None:
    (quick,) = chosen(CASES, QUICK)
    assert quick.is_reference


def test_photos_of_one_model_grow() -> None:
    areas = [case.photo.area for case in CASES if case.model == MODELS[0]]
    assert areas == sorted(areas)
