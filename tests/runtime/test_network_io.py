from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from atrous.domain.errors import BadPackage
from atrous.runtime.network_io import (
    checked_input,
    checked_output,
    last_line,
    read_network,
    run_in_parts,
    side_length,
)


def test_shapes_of_a_segmentation() -> None:
    assert checked_input([1, 3, None, None]) == [1, 3, None, None]
    assert checked_output([1, 21, None, None]) == 21
    assert checked_output([]) is None
    with pytest.raises(BadPackage, match=r"\(1, 1, 8, \?\); expected \(n, 3, height, width\)"):
        checked_input([1, 1, 8, None])
    with pytest.raises(BadPackage, match="expected logits"):
        checked_output([1, 192])


@pytest.mark.parametrize(
    ("side", "length"), [(7, 7), (0, None), (-1, None), ("n", None), (None, None)]
)
def test_sides_in_onnxruntimes_words(side: object, length: int | None) -> None:
    assert side_length(side) == length


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_parts_keep_their_answers_though_the_memory_is_used_again(count: int) -> None:
    memory = np.empty((2, 1, 4, 4), np.float32)

    def run(part: np.ndarray) -> np.ndarray:
        memory[:] = part[:, :1]
        return memory

    batch = np.arange(count, dtype=np.float32)[:, None, None, None] * np.ones(
        (1, 3, 4, 4), np.float32
    )
    answer = run_in_parts(batch, 2, run)
    assert answer.shape == (count, 1, 4, 4)
    assert answer[:, 0, 0, 0].tolist() == list(range(count))


def test_an_answer_that_is_no_logits() -> None:
    with pytest.raises(BadPackage, match=r"\(1, 3\); expected logits"):
        run_in_parts(np.zeros((1, 3, 4, 4), np.float32), 1, lambda _: np.zeros((1, 3), np.float32))


def test_networks_are_read_as_a_whole(save_network: Callable[..., Path], tmp_path: Path) -> None:
    path = save_network()
    assert read_network(path) == path.read_bytes()
    with pytest.raises(BadPackage, match="can't be read"):
        read_network(tmp_path / "absent.onnx")


def test_reasons_are_one_line() -> None:
    assert last_line(RuntimeError("at source.cpp:1\n  it is broken\n\n")) == "it is broken"
    assert last_line(RuntimeError()) == "RuntimeError"
