import numpy as np
import pytest

from atrous.domain.geometry import Size
from atrous.domain.recipes import PreprocessRecipe, TrainingRecipe
from atrous.training.schedule import progress_of, rate_factor, seconds_left, training_time_s


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
    assert progress_of(30, 120, 1e9) == 0.25
    assert progress_of(121, 120, 0.0) == 1


def test_progress_by_the_clock_where_time_is_budgeted() -> None:
    assert progress_of(1, 1000, 47.0, 94.0) == pytest.approx(0.5)
    assert progress_of(1, 1000, 94.0, 94.0) == 1
    assert progress_of(900, 1000, 1.0, 94.0) == 0.9  # the epochs are spent first


def test_a_long_end_is_left_the_time_that_it_takes() -> None:
    """A large validation split: ten minutes' budget, of which its last figures take three."""
    assert training_time_s(600.0, 10.0) == pytest.approx(0.94 * 600)
    assert training_time_s(600.0, 180.0) == 420
    assert training_time_s(600.0, 1e9) == 300


def test_the_rest_of_a_training_is_told_by_its_dearer_steps() -> None:
    early = recipe(early_share=0.6, early_scale=0.5)
    # 60 steps of a second each, then 40 of four.
    assert seconds_left(0.3, 30.0, early) == pytest.approx(30 + 160)
    assert seconds_left(0.6, 60.0, early) == pytest.approx(160)
    assert seconds_left(0.8, 140.0, early) == pytest.approx(80)
    assert seconds_left(1.0, 220.0, early) == 0
    assert seconds_left(0.25, 30.0, recipe()) == pytest.approx(90)
    assert seconds_left(0.5, 50.0, early, training_s=100.0) == pytest.approx(50)  # by the clock
    assert seconds_left(0.9, 10.0, recipe(), training_s=100.0) == pytest.approx(10 / 9)
