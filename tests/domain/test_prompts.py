from atrous.domain.prompts import Point, Prompt, PromptBox


def test_a_box_knows_its_sides() -> None:
    box = PromptBox(left=1.5, top=2.0, right=4.0, bottom=8.0)
    assert (box.width, box.height) == (2.5, 6.0)


def test_points_and_boxes_are_compared_by_value() -> None:
    assert len({Point(1.0, 2.0, True), Point(1.0, 2.0, True), Point(1.0, 2.0, False)}) == 2


def test_a_prompt_may_say_nothing() -> None:
    assert (Prompt().points, Prompt().box, Prompt().mask_input) == ((), None, None)
