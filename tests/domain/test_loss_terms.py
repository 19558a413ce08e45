import pytest
from hypothesis import given
from hypothesis import strategies as st

from atrous.domain.errors import BadInput
from atrous.domain.loss_terms import LOSSES, LossTerm, parse_loss


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("ce", [LossTerm("ce")]),
        (" ce+0.5 * lovasz ", [LossTerm("ce"), LossTerm("lovasz", 0.5)]),
        (
            "2e-1*dice + focal(gamma=3)",
            [LossTerm("dice", 0.2), LossTerm("focal", 1.0, {"gamma": 3.0})],
        ),
        ("ohem(least=0.5)", [LossTerm("ohem", 1.0, {"threshold": 0.7, "least": 0.5})]),
        ("tversky(alpha=1e+0, beta=0)", [LossTerm("tversky", 1.0, {"alpha": 1.0, "beta": 0.0})]),
        ("rmi", [LossTerm("rmi", 1.0, {"radius": 3.0, "pool": 4.0})]),
    ],
)
def test_sums_of_losses(text: str, terms: list[LossTerm]) -> None:
    assert list(parse_loss(text)) == terms


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'' is no term"),
        ("cross-entropy", "'cross-entropy' is no term"),
        ("huber", "no loss 'huber', only ce, ohem"),
        ("ce lovasz", "'ce lovasz' is no term"),
        ("ce + ", "'' is no term"),
        ("ce - dice", "'ce - dice' is no term"),
        ("0*ce", "weight of ce is 0; give a number above 0"),
        ("-1*ce", "weight of ce is -1"),
        ("1e999*ce", "'1e999' is no number"),
        ("1.2.3*ce", "'1.2.3' is no number"),
        ("ce + 2*ce", "ce is named twice"),
        ("ce(gamma=2)", "ce takes no parameters, not 'gamma=2'"),
        ("focal(gama=2)", "focal takes gamma, not 'gama=2'"),
        ("focal(gamma=-1)", "gamma of focal is -1; give a number from 0 to 10"),
        ("focal(gamma=)", "'' is no number"),
        ("focal()", "focal takes gamma"),
        ("ohem(threshold=nan)", "'nan' is no number"),
        ("rmi(radius=2.5)", "radius of rmi is 2.5; give a whole number from 1 to 7"),
    ],
)
def test_what_is_no_sum_of_losses(text: str, message: str) -> None:
    with pytest.raises(BadInput) as refused:
        parse_loss(text)
    assert message in str(refused.value)
    assert "Write 'ce', " in str(refused.value)


@given(st.text(alphabet="ce+*.0123(=),lovaszdicfgmn -", max_size=30))
def test_any_text_is_understood_or_refused(text: str) -> None:
    try:
        terms = parse_loss(text)
    except BadInput:
        return
    assert terms
    assert all(set(term.parameters) == set(LOSSES[term.name]) for term in terms)
