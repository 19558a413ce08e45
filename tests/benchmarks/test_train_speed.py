import multiprocessing
from collections.abc import Iterator

import pytest
import train_speed
from training_sides.sides import Finished, Running, Side, Step, Turns, alternate

SIDES = [
    Side(train_speed.PLAIN, "plain", "resnet18", "fp32", channels_last=False),
    Side(train_speed.LAST, "plain", "resnet18", "fp32"),
    Side(train_speed.OURS, "own", "resnet18", "fp32"),
    Side("photos of half the size", "own", "resnet18", "fp32", choices={"early_share": 1.0}),
]


def steps(*seconds: float, data_s: float = 0.0) -> list[Step]:
    return [Step(whole_s, data_s) for whole_s in seconds]


def test_figures_are_taken_turn_by_turn() -> None:
    """The machine is ten times slower in the second turn: for all sides."""
    blocks = [
        [steps(2.4, 2.4), steps(24.0, 24.0)],
        [steps(2.2, 2.2), steps(22.0, 22.0)],
        [steps(2.0, 2.0, data_s=0.1), steps(20.0, 20.0, data_s=1.0)],
        [steps(0.6, 0.6), steps(6.0, 6.0)],
    ]
    rows = train_speed.rows_of("resnet18, fp32", SIDES, blocks, photos=4)
    assert [row.times_plain for row in rows] == pytest.approx([1, 24 / 22, 1.2, 4])
    assert [row.times_channels_last for row in rows] == pytest.approx([22 / 24, 1, 1.1, 22 / 6])
    assert rows[2].data_share == pytest.approx(0.05)
    assert rows[2].step_s == pytest.approx(11.0)
    assert rows[2].photos_per_s == pytest.approx(4 / 11)
    assert [row.counts for row in rows] == [False, False, True, False]


@pytest.mark.parametrize(("ours_s", "data_s", "holds"), [(2.0, 0.1, True), (2.1, 0.5, False)])
def test_only_the_same_mathematics_are_judged(ours_s: float, data_s: float, holds: bool) -> None:
    seconds = (2.42, 2.0, ours_s, 0.1)
    blocks = [[steps(whole_s, data_s=data_s)] for whole_s in seconds]
    targets = train_speed.judge(train_speed.rows_of("a case", SIDES, blocks, photos=4))
    assert len(targets) == 2
    assert [target["holds"] for target in targets.values()] == [holds, holds]
    assert targets["times the plain loop, a case"]["value"] == pytest.approx(2.42 / ours_s)


def test_every_case_begins_with_the_plain_loop() -> None:
    for name, sides in train_speed.cases(None).items():
        assert sides[0].name == train_speed.PLAIN, name
        assert len({side.backbone for side in sides}) == 1
        assert sum(side.kind == "own" and not side.choices for side in sides) <= 1
    assert all("resnet18" in name for name in train_speed.cases("resnet18"))


def test_turns_are_taken_and_waiting_for_data_is_noted() -> None:
    here, there = multiprocessing.Pipe()
    for count in (2, 1, 0):
        here.send(count)
    turns = Turns(there)
    turns.wait()

    def loop() -> None:
        for _ in turns.timed(iter(range(10))):
            turns.step_done()

    with pytest.raises(Finished):
        loop()
    blocks = [here.recv(), here.recv()]
    assert [len(block) for block in blocks] == [2, 1]
    assert all(0 <= step.data_s <= step.whole_s for block in blocks for step in block)


class Counted(Running):
    """A side that does nothing, and notes when it was asked."""

    def __init__(self, asked: list[str], name: str) -> None:
        self.asked, self.name = asked, name

    def steps(self, count: int) -> list[Step]:
        self.asked.append(self.name)
        return steps(*[1.0] * count)


def test_sides_alternate() -> None:
    asked: list[str] = []
    left: Iterator[bool] = iter([True, False])
    sides = [Counted(asked, "a"), Counted(asked, "b")]
    blocks = alternate(sides, 3, 2, lambda: next(left))
    assert asked == ["a", "b"] * 3
    assert [[len(block) for block in own] for own in blocks] == [[3, 3, 3], [3, 3, 3]]
