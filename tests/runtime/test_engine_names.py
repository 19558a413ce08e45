from typing import get_args

from atrous.runtime.engine_names import Engine, EngineName, Precision, PrecisionName


def test_a_choice_is_one_of_what_users_may_ask_for() -> None:
    assert set(get_args(Engine)) == {"auto", *get_args(EngineName)}
    assert set(get_args(Precision)) == {"auto", *get_args(PrecisionName)}
