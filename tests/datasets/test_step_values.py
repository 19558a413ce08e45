import pytest

from atrous.datasets.step_values import StepValues, wanted_steps
from atrous.domain.errors import BadInput

VALUES = StepValues("augmentation 'x'", {"a": 3, "b": "4.5", "c": True, "d": ["t"], "e": "one"})


def test_values_are_read() -> None:
    assert VALUES.number("a", 0.0, 3.0) == 3.0
    assert VALUES.number("b", 0.0, 9.0) == 4.5
    assert VALUES.number("missing", 0.0, 9.0, 2.0) == 2.0
    assert VALUES.whole("a", 3, 3) == 3
    assert VALUES.flag("c") is True
    assert VALUES.flag("missing") is False
    assert VALUES.texts("d") == ("t",)
    assert VALUES.texts("missing") == ()
    assert VALUES.choice("e", ("one", "two")) == "one"
    assert VALUES.only(*"abcde") is VALUES


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda values: values.only("a", "b"), "x' has the unknown key 'c'; it takes a, b"),
        (lambda values: values.only(), "it takes no options"),
        (lambda values: values.number("a", 4.0, 5.0), "'a' is '3'; give a number from 4 to 5"),
        (lambda values: values.number("c", 0.0, 5.0), "'c' is 'True'; give a number"),
        (lambda values: values.number("e", 0.0, 5.0), "'e' is 'one'; give a number"),
        (lambda values: values.number("z", 0.0, 5.0), "x' has no 'z'; give a number from 0 to 5"),
        (lambda values: values.whole("b", 1, 9), "'b' is '4.5'; give a whole number from 1 to 9"),
        (lambda values: values.flag("a"), "'a' is '3'; give true or false"),
        (lambda values: values.texts("a"), "'a' is '3'; give a list of texts"),
        (lambda values: values.choice("e", ("two",)), "'e' is 'one'; give one of 'two'"),
    ],
)
def test_what_can_not_be_used_is_named(ask, message) -> None:
    with pytest.raises(BadInput, match=message):
        ask(VALUES)


@pytest.mark.parametrize("value", ["inf", "-inf", "nan", 1e400, None, [], {}])
def test_what_is_no_number_is_refused(value) -> None:
    values = StepValues("s", {"a": value})
    for read in (values.number, values.whole):
        with pytest.raises(BadInput):
            read("a", 0, 5) if read == values.whole else read("a", 0.0, 5.0)


def test_steps_that_are_switched_on() -> None:
    steps = {"p": True, "q": {"enabled": False}, "r": {"a": 1}, "s": None, "t": {"enabled": True}}
    assert list(wanted_steps("preprocessing", steps, "pqrst")) == ["p", "r", "t"]
    with pytest.raises(BadInput, match="preprocessing 'u' is not offered; known are p, q"):
        wanted_steps("preprocessing", {"u": False}, "qp")
    with pytest.raises(BadInput, match="give an object of options, true or false"):
        wanted_steps("preprocessing", {"p": 3}, "p")
