import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atrous.domain.errors import BadInput
from atrous.training.class_weights import BALANCING, class_weights

CAMVID_LIKE = (0, 167, 235, 10, 300, 45, 106, 12, 14, 65, 7, 3)


def test_enet_is_the_published_formula() -> None:
    weights = np.array(class_weights((0, 60, 40), "enet"))
    raw = 1 / np.log(1.02 + np.array([0.6, 0.4]))
    assert weights[1] / weights[2] == pytest.approx(raw[0] / raw[1])


def test_median_is_the_published_formula() -> None:
    """Class 1 is on all photos, class 2 fills half of the one photo of four that shows it."""
    weights = np.array(class_weights((0, 350, 50), "median", (0, 400, 100)))
    frequencies = np.array([350 / 400, 50 / 100])
    raw = np.median(frequencies) / frequencies
    assert weights[1] / weights[2] == pytest.approx(raw[0] / raw[1])
    assert np.average(weights, weights=(0, 350, 50)) == pytest.approx(1)


def test_balanced_is_milder_than_enet_and_enet_than_median() -> None:
    spread = {}
    for balancing in ("balanced", "enet", "median"):
        weights = class_weights(CAMVID_LIKE, balancing)
        assert weights is not None
        spread[balancing] = max(weights) / min(weights)
    assert 3 < spread["balanced"] < 4 < spread["enet"] < spread["median"]


@pytest.mark.parametrize(
    ("pixels", "balanced"),
    [
        (CAMVID_LIKE, True),
        ((0, 40, 30, 30), False),  # no class is rare
        ((990, 10), False),  # two classes
        ((0, 990, 10), False),  # two that are labelled
    ],
)
def test_auto_balances_where_a_class_is_rare(pixels: tuple[int, ...], balanced: bool) -> None:
    assert class_weights(pixels, "auto") == (
        class_weights(pixels, "balanced") if balanced else None
    )


@given(
    pixels=st.lists(st.integers(0, 10**12), min_size=2, max_size=20).filter(any),
    balancing=st.sampled_from(("balanced", "enet", "median")),
)
def test_the_loss_keeps_its_scale(pixels: list[int], balancing: str) -> None:
    weights = class_weights(pixels, balancing)
    assert weights is not None
    assert np.average(weights, weights=pixels) == pytest.approx(1)
    assert all(weight > 0 for weight in weights)
    assert all(weight == 1 for weight, count in zip(weights, pixels, strict=True) if count == 0)


@pytest.mark.parametrize("balancing", BALANCING)
def test_without_labels_all_are_equal(balancing: str) -> None:
    assert class_weights((0, 0, 0), balancing) is None


def test_an_unknown_way() -> None:
    with pytest.raises(BadInput, match="'heavy'; give one of auto, none"):
        class_weights((1, 2), "heavy")
