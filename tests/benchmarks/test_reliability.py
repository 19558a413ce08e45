"""How benchmarks/reliability.py judges what it measured, and how it reads its command line."""

import http.client
import json
import os
import sys
from pathlib import Path

import numpy as np
import orjson
import pytest
import reliability
from reliability_bars.bars import (
    Bar,
    bars_of_levels,
    bars_of_overload,
    bars_of_soak,
    bars_of_termination,
)
from reliability_bars.checked_client import CheckedClient, Outcome, comparable, idle_answer
from reliability_bars.loaded_server import LoadedServer, Photo
from reliability_bars.memory_slope import Growth, Look, growth_of
from reliability_bars.overload import Level, OverloadResult, goodput, loaded_span, windows
from reliability_bars.soak import SoakResult, requests_of
from reliability_bars.termination import judge_termination
from serving.load import Overload
from serving.process_memory import own_mib
from serving.server_process import Reply


def body(mask: str, inference_id: str = "a") -> bytes:
    return orjson.dumps({"inference_id": inference_id, "time": 0.1, "mask": mask})


class Scripted:
    """A connection that gives these answers in turn, or raises them."""

    def __init__(self, *replies: Reply | Exception) -> None:
        self.replies, self.closed = list(replies), 0

    def ask(self) -> Reply:
        reply = self.replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply

    def close(self) -> None:
        self.closed += 1


def test_answers_are_told_apart() -> None:
    connection = Scripted(
        Reply(200, None, body("m", "b")),
        Reply(200, None, body("of another photo")),
        Reply(429, "1", b"{}"),
        Reply(429, None, b"{}"),
        Reply(503, "1", b"{}"),
        Reply(500, None, b"oh"),
        ConnectionRefusedError(),
        ConnectionResetError(),
        http.client.RemoteDisconnected("gone"),
    )
    outcomes: list[Outcome] = []
    client = CheckedClient(connection, comparable(body("m", "a")), outcomes)
    statuses = [client.post() for _ in range(9)]
    assert statuses == [200, 200, 429, 429, 503, 500, 0, 0, 0]
    assert [outcome.kind for outcome in outcomes] == [
        "right",
        "wrong",
        "refused",
        "error",
        "draining",
        "error",
        "unreachable",
        "cut off",
        "cut off",
    ]
    assert connection.closed == 3  # so that the next request opens it anew
    assert "Retry-After" in outcomes[3].detail
    assert "oh" in outcomes[5].detail


def test_an_idle_server_has_to_repeat_itself() -> None:
    same = [Reply(200, None, body("m", str(index))) for index in range(3)]
    assert idle_answer(Scripted(*same)) == comparable(body("m"))
    with pytest.raises(RuntimeError, match="2 different"):
        idle_answer(Scripted(*same[:2], Reply(200, None, body("other"))))
    with pytest.raises(RuntimeError, match="429"):
        idle_answer(Scripted(Reply(429, "1", b"{}")))


def test_clients_take_the_photos_in_turn(tmp_path: Path) -> None:
    class Server:
        asked: list[Path] = []

        def connect(self, photo: Path) -> Scripted:
            self.asked.append(photo)
            return Scripted(Reply(200, None, body(photo.name)))

    photos = tuple(Photo(Path(name), comparable(body(name))) for name in ("one", "two"))
    outcomes: list[Outcome] = []
    connect = LoadedServer(Server(), photos).clients(outcomes)  # type: ignore[arg-type]
    for _ in range(3):
        connect().post()
    assert [path.name for path in Server.asked] == ["one", "two", "one"]
    assert [outcome.kind for outcome in outcomes] == ["right"] * 3


def test_goodput_counts_right_answers_while_the_queue_is_full() -> None:
    outcomes = [Outcome(i / 10, i / 10 + 0.5, "right", 200) for i in range(300)]
    outcomes += [Outcome(i / 10, i / 10, "refused", 429) for i in range(50, 300)]
    outcomes += [Outcome(10, 10.5, "wrong", 200), Outcome(11, 11.5, "error", 500)]
    begin, end = loaded_span(outcomes)
    assert (begin, end) == (5.0, 29.9)
    assert goodput(outcomes, begin, end) == pytest.approx(10, rel=0.01)
    assert windows(outcomes, begin, end) == pytest.approx([10, 10], rel=0.02)
    assert loaded_span(outcomes[:300])[0] == 0.0  # it was never full
    with pytest.raises(ValueError, match="no length"):
        goodput(outcomes, 3.0, 3.0)


def looks(slope_mb: float, noise: float = 0.0, count: int = 100) -> list[Look]:
    """Memory that grows by so many MB per 10,000 requests, after a warm-up that grows fast."""
    random = np.random.default_rng(0)
    requests = np.arange(1, count + 1) * 200
    grown = slope_mb * 1e6 / 2**20 * requests / 10_000 + 30 * (1 - np.exp(-requests / 800))
    resident = 200 + grown + random.normal(0, noise, count)
    return [Look(int(n), float(mib)) for n, mib in zip(requests, resident, strict=True)]


@pytest.mark.parametrize("slope", [-0.5, 0.0, 0.9, 3.0])
def test_the_slope_is_that_of_the_memory(slope: float) -> None:
    assert growth_of(looks(slope)).mb_per_10000 == pytest.approx(slope, abs=0.05)
    noisy = growth_of(looks(slope, noise=0.5))
    assert noisy.mb_per_10000 == pytest.approx(slope, abs=0.3)
    assert noisy.requests == 20_000 - 7_000


def test_a_few_looks_far_away_hardly_bend_the_line() -> None:
    many = looks(0.2, noise=0.1)
    bent = [
        Look(look.requests, look.own_mib + (40 if index % 17 == 0 else 0))
        for index, look in enumerate(many)
    ]
    assert growth_of(bent).mb_per_10000 == pytest.approx(0.2, abs=0.3)


def test_too_few_looks_are_no_line() -> None:
    with pytest.raises(ValueError, match="too few"):
        growth_of(looks(1.0, count=8))
    with pytest.raises(ValueError, match="too few"):
        growth_of([])


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="there is no /proc")
def test_memory_of_a_process_is_its_own() -> None:
    before = own_mib(os.getpid())
    assert before is not None
    kept = bytearray(os.urandom(1 << 20) * 40)
    grown = own_mib(os.getpid())
    assert grown is not None
    assert grown - before > 30
    assert len(kept) == 40 << 20
    assert own_mib(2**22 + 1) is None  # no such process


def soaked(slope: float, failures: dict[str, int] | None = None) -> SoakResult:
    growth = Growth(slope, 10_000, 100, 200.0, 201.0)
    return SoakResult(growth, 20_000, 150.0, {"200": 20_000}, failures or {}, [])


def verdicts(bars: list[Bar]) -> list[str]:
    return [bar.verdict for bar in bars]


def test_the_control_has_to_leak() -> None:
    assert verdicts(bars_of_soak(soaked(0.3), soaked(3.2))) == ["hit", "hit", "hit"]
    assert verdicts(bars_of_soak(soaked(1.3), soaked(3.2))) == ["missed", "hit", "hit"]
    assert verdicts(bars_of_soak(soaked(0.3), soaked(0.4))) == ["hit", "missed", "hit"]
    assert verdicts(bars_of_soak(soaked(0.3, {"json: 500": 1}), soaked(3.2)))[2] == "missed"


def overloaded(**changes: object) -> OverloadResult:
    load = Overload(30.0, 3000, 1000, 0.66, 0, 5000.0, 6500.0)
    values: dict[str, object] = {
        "seconds": 100.0,
        "capacity_before": 10.5,
        "capacity_after": 9.5,
        "load": load,
        "goodput": 9.3,
        "windows": [9.3] * 10,
        "wrong_masks": 0,
        "failures": 0,
        "details": [],
        "places": 66,
        "refused_p99_ms": 80.0,
        "still_held": {"atrous_queue_depth": 0.0},
        "resident_mib": (200.0, 210.0),
    }
    return OverloadResult(**{**values, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "missed"),
    [
        ({}, []),
        ({"goodput": 8.9}, [0]),
        ({"places": 40}, [1]),
        ({"refused_p99_ms": 900.0}, [2]),
        ({"refused_p99_ms": None}, [2]),  # nobody was refused: it was no overload
        ({"wrong_masks": 1, "failures": 1}, [3, 4]),
        ({"still_held": {"atrous_queue_depth": 1.0}}, [5]),
    ],
)
def test_overload_is_judged(changes: dict[str, object], missed: list[int]) -> None:
    found = verdicts(bars_of_overload(overloaded(**changes)))
    assert [index for index, verdict in enumerate(found) if verdict == "missed"] == missed


def test_no_number_of_clients_gets_less_than_one() -> None:
    levels = [Level(1, [10.0, 12.0], 0), Level(4, [13.0, 13.0], 0), Level(64, [11.0, 11.4], 0)]
    assert verdicts(bars_of_levels(levels)) == ["hit", "hit"]
    levels[1] = Level(4, [9.0, 9.0], 1)
    assert verdicts(bars_of_levels(levels)) == ["missed", "missed"]


def test_what_was_accepted_before_the_signal_has_to_be_answered() -> None:
    fine = [
        Outcome(1.0, 5.0, "right", 200),
        Outcome(2.0, 2.0, "refused", 429),
        Outcome(9.9, 10.1, "draining", 503),  # came after the signal, sent before it
        Outcome(10.5, 10.6, "draining", 503),
        Outcome(12.0, 12.0, "unreachable", 0),
    ]
    result = judge_termination(fine, 10.0, 0, 4.0, 30.0)
    assert (result.accepted, result.late, result.late_told) == (1, 2, 2)
    assert verdicts(bars_of_termination(result)) == ["hit"] * 4

    lost = [*fine, Outcome(8.0, 8.5, "draining", 503), Outcome(9.0, 10.2, "cut off", 0)]
    assert judge_termination(lost, 10.0, 0, 4.0, 30.0).accepted_failed == 2
    silent = [*fine, Outcome(11.0, 11.0, "cut off", 0)]
    assert judge_termination(silent, 10.0, 0, 4.0, 30.0).late_failed == 1
    assert verdicts(bars_of_termination(judge_termination(fine, 10.0, -9, 31.0, 30.0)))[2:] == [
        "missed",
        "missed",
    ]


def test_the_mix_has_photos_and_what_must_be_refused() -> None:
    mix = requests_of("soak/1")
    names = {request.name for request in mix}
    assert {"base64", "bytes", "json", "overlay", "wrong key", "client that leaves"} <= names
    assert sum(request.statuses == (200,) for request in mix) > len(mix) / 2
    assert not any(500 in request.statuses for request in mix)


def test_options_and_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    out = tmp_path / "new" / "out.json"
    monkeypatch.setattr(sys, "argv", ["reliability.py", "--quick", "--out", str(out)])
    options = reliability.read_options()
    assert options.part == ["load", "soak"]
    figures = reliability.Figures()
    figures.add("soak", bars_of_soak(soaked(0.3), soaked(3.2)), {"requests": 7})
    reliability.write_json(out, options.quick, {"cores": 2}, 61.4, figures)
    written = json.loads(out.read_text())
    assert written["bars"][0]["part"] == "soak"
    assert written["measured"]["soak"] == {"requests": 7}
    assert (written["quick"], written["wall_s"]) == (True, 61)
    assert len(reliability.table_of(figures.bars).rows) == 3


def test_what_fails_in_one_part_is_said_and_the_other_is_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("16 clients were answered with statuses {504: 2}")

    def work(_: Path, plan: object, figures: reliability.Figures, say: object) -> None:
        figures.add("soak", bars_of_soak(soaked(0.3), soaked(3.2)), {})

    out = tmp_path / "out.json"
    monkeypatch.setattr(reliability, "MEASURE", {"load": fail, "soak": work})
    arguments = ["reliability.py", "--out", str(out), "--work", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit) as ended:
        reliability.main()
    assert ended.value.code == 1
    bars = json.loads(out.read_text())["bars"]
    assert [bar["verdict"] for bar in bars] == ["missed", "hit", "hit", "hit"]
    assert "504" in bars[0]["measured"]
