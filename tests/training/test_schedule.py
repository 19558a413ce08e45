import numpy as np
import pytest

from atrous.domain.geometry import Size
from atrous.domain.recipes import PreprocessRecipe, TrainingRecipe
from atrous.training.schedule import TRAINING_SHARE, progress_of, rate_factor


def recipe(**choices: float | str) -> TrainingRecipe:
    return TrainingRecipe(PreprocessRecipe(Size(8, 8)), Size(8, 8), **choices)


def test_rises_then_falls_to_nought() -> None:
    factors = [rate_factor(share, recipe(warmup_share=0.1)) for share in np.linspace(0, 1, 101)]
    assert factors[0] == 0
    assert factors[-1] == 0
    top = int(np.argmax(factors))
    assert top == 10
    assert all(np.diff(factors[: top + 1]) > 0)
    assert all(np.diff(factors[top:]) < 0)
    assert factors[10] == pytest.approx(0.9**0.9)


def test_no_warm_up_starts_at_the_top() -> None:
    assert rate_factor(0.0, recipe(warmup_share=0.0)) == 1


def test_power_one_is_a_straight_line() -> None:
    assert rate_factor(0.25, recipe(warmup_share=0.0, poly_power=1.0)) == pytest.approx(0.75)


def test_half_a_cosine() -> None:
    cosine = recipe(warmup_share=0.0, schedule="cosine")
    factors = [rate_factor(share, cosine) for share in (0.0, 0.25, 0.5, 1.0)]
    assert factors == pytest.approx([1.0, (1 + 0.5**0.5) / 2, 0.5, 0.0])
    warm = recipe(warmup_share=0.5, schedule="cosine")
    assert rate_factor(0.25, warm) == pytest.approx(0.5 * (1 + 0.5**0.5) / 2)


def test_progress_beyond_the_end_is_the_end() -> None:
    assert rate_factor(1.7, recipe()) == 0
    assert rate_factor(-1.0, recipe()) == 0


def test_progress_by_steps() -> None:
    assert progress_of(30, 120, 1e9, recipe()) == 0.25
    assert progress_of(121, 120, 0.0, recipe()) == 1


def test_progress_by_the_clock_where_time_is_budgeted() -> None:
    timed = recipe(time_budget_s=100.0)
    assert progress_of(1, 1000, 50 * TRAINING_SHARE, timed) == pytest.approx(0.5)
    assert progress_of(1, 1000, 100 * TRAINING_SHARE, timed) == 1
    assert progress_of(900, 1000, 1.0, timed) == 0.9  # the epochs are spent first
