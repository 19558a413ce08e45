from pathlib import Path

import numpy as np
import pytest
from serving import alternation
from serving.alternation import (
    FEWEST_ALTERNATIONS,
    MOST_ALTERNATIONS,
    Block,
    alternate,
    around_network_ms,
    peer_memory_problem,
    ratio_of,
    run_posts,
    whole,
    without_encoding,
)
from serving.cases import PHOTO_SIZES, Case, random_model
from serving.photos import draw_photo, photo_file
from serving.server_process import ServerFailed

from atrous.domain.geometry import Size
from atrous.images.decode import read_image


def block(*seconds: float) -> Block:
    return Block(list(seconds), {"network": seconds[0] / 2, "encode": seconds[0] / 4})


def test_sides_run_in_turn_after_a_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alternation, "BREAK_S", 0)
    asked: list[tuple[str, int]] = []

    def side(name: str, second: float):
        def run(runs: int) -> Block:
            asked.append((name, runs))
            return block(*[second] * runs)

        return run

    blocks = alternate({"a": side("a", 0.1), "b": side("b", 1.0)}, budget_s=24.0)
    assert asked[:2] == [("a", 1), ("b", 1)]
    turns = [name for name, _ in asked[2:]]
    assert turns == ["a", "b"] * MOST_ALTERNATIONS
    assert len(blocks["a"]) == len(blocks["b"]) == MOST_ALTERNATIONS
    assert len(blocks["a"][0].seconds) == 20
    assert len(blocks["b"][0].seconds) == 2


def test_slow_sides_are_still_measured_more_than_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alternation, "BREAK_S", 0)
    blocks = alternate({"a": lambda runs: block(*[50.0] * runs)}, budget_s=10.0)
    assert [len(one.seconds) for one in blocks["a"]] == [1] * FEWEST_ALTERNATIONS


def test_what_is_around_the_network_is_the_rest_of_the_request() -> None:
    assert around_network_ms([block(0.2), block(0.4), block(0.6)]) == pytest.approx(200)


def test_one_long_run_of_the_network_makes_the_rest_no_shorter() -> None:
    seconds = [*[0.060] * 19, 0.260]
    mean_network = float(np.mean(seconds)) - 0.018
    blocks = [Block(seconds, {"network": mean_network})]
    assert around_network_ms(blocks) == pytest.approx(18)


def test_in_process_nothing_is_encoded() -> None:
    assert without_encoding(block(1.0)) == [pytest.approx(0.5)]


def test_no_ratio_without_both_sides() -> None:
    blocks = {"server": [block(0.1)], "peer": [block(0.3)]}
    assert ratio_of(blocks, "peer", "server", whole) == pytest.approx(3.0)
    assert ratio_of(blocks, "peer server", "server", whole) is None


def test_an_answer_without_a_mask_is_no_time() -> None:
    class Answers:
        def __init__(self, status: int) -> None:
            self._status = status

        def post(self) -> int:
            return self._status

        def close(self) -> None:
            pass

    assert len(run_posts(Answers(200), 3)) == 3
    with pytest.raises(ServerFailed, match="503"):
        run_posts(Answers(503), 1)


def test_the_peer_is_spared_photos_that_do_not_fit_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alternation, "available_bytes", lambda: 4 << 30)
    many = random_model("resnet50", 150, Path("packages"))
    assert "needs about 15 GiB" in peer_memory_problem(Case(many, PHOTO_SIZES[-1]))
    assert peer_memory_problem(Case(many, PHOTO_SIZES[0])) == ""


def test_photos_are_the_same_each_time_and_have_detail(tmp_path: Path) -> None:
    size = Size(height=120, width=180)
    assert (draw_photo(size) == draw_photo(size)).all()
    path = photo_file(tmp_path, size)
    assert path.name == "180x120.jpg"
    pixels = read_image(path)
    assert pixels.shape == (120, 180, 3)
    assert pixels.std() > 20
    written = path.stat().st_mtime_ns
    assert photo_file(tmp_path, size).stat().st_mtime_ns == written
