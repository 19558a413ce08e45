import numpy as np
import pytest

from atrous.domain.errors import BadRequest
from atrous.domain.geometry import Size
from atrous.domain.prompts import Point, Prompt, PromptBox
from atrous.sam2.prompt_arrays import batch_prompts, prompt_points

SIZE = Size(height=512, width=2048)  # coordinates are halved across and doubled down
CLICK = Prompt(points=(Point(100.0, 100.0, positive=True),))
BOX = PromptBox(left=0.0, top=10.0, right=200.0, bottom=30.0)
MASK = np.ones((256, 256), np.float32)


def test_points_are_scaled_and_followed_by_one_that_is_none() -> None:
    prompt = Prompt(
        points=(Point(100.0, 50.0, positive=True), Point(2048.0, 512.0, positive=False))
    )
    coords, labels = prompt_points(prompt, SIZE)
    assert coords.tolist() == [[50, 100], [1024, 1024], [0, 0]]
    assert labels.tolist() == [1, 0, -1]


def test_box_comes_first() -> None:
    coords, labels = prompt_points(Prompt(CLICK.points, BOX), SIZE)
    assert coords.tolist() == [[0, 20], [100, 60], [50, 200], [0, 0]]
    assert labels.tolist() == [2, 3, 1, -1]


def test_nothing_said_is_two_points_that_are_none() -> None:
    coords, labels = prompt_points(Prompt(), SIZE)
    assert coords.tolist() == [[0, 0], [0, 0]]
    assert labels.tolist() == [-1, -1]


def test_a_mask_alone_has_no_points() -> None:
    coords, labels = prompt_points(Prompt(mask_input=MASK), SIZE)
    assert coords.shape == (0, 2)
    assert labels.shape == (0,)


def test_only_prompts_of_as_many_points_go_together() -> None:
    other = Prompt(points=(Point(3.0, 4.0, positive=False),))
    prompts = [CLICK, Prompt(box=BOX), other, Prompt(CLICK.points, mask_input=MASK), CLICK]
    batches = batch_prompts(prompts, SIZE)
    assert [batch.indices for batch in batches] == [(0, 2, 4), (1,), (3,)]
    assert batches[0].labels.tolist() == [[1, -1], [0, -1], [1, -1]]
    assert [batch.mask_input is MASK for batch in batches] == [False, False, True]


def test_a_batch_in_parts() -> None:
    (batch,) = batch_prompts([CLICK, Prompt(CLICK.points, BOX)] * 3 + [CLICK], SIZE)[:1]
    parts = batch.parts(3)
    assert [part.indices for part in parts] == [(0, 2), (4, 6)]  # evenly
    assert np.concatenate([part.coords for part in parts]).tolist() == batch.coords.tolist()
    assert [part.labels.tolist() for part in parts] == [[[1, -1]] * 2] * 2


def test_coordinate_that_is_no_number_is_refused() -> None:
    with pytest.raises(BadRequest, match="no number"):
        prompt_points(Prompt(points=(Point(float("nan"), 1.0, positive=True),)), SIZE)
