import json
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from atrous.domain.errors import BadPackage, MissingDependency
from atrous.domain.geometry import Size
from atrous.packages.manifest import sha256_of
from atrous.runtime import engine_choice
from atrous.runtime.core_budget import CoreBudget
from atrous.runtime.engine_choice import Choice, Network, choose_engine

SIZE = Size(32, 48)
Save = Callable[..., Path]


class Clock:
    """Time that passes only where a session says so."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class PlannedSession:
    """A session that takes its time, and turns some labels round."""

    engine, device, precision, input_size, class_count = "planned", "cpu", "fp32", SIZE, 2
    batch_size, enlarged = 1, None

    def __init__(
        self, clocks: tuple[Clock, Clock], seconds: float, wrong_share: float, threads: int
    ) -> None:
        self.clocks, self.threads, self.waits_s = clocks, threads, 0.0
        self.seconds, self.wrong_share = seconds, wrong_share
        self.runs, self.closed = 0, False

    def run(self, batch: np.ndarray) -> np.ndarray:
        self.runs += 1
        wall, processor = self.clocks
        wall.now_s += self.seconds + self.waits_s
        processor.now_s += self.seconds * self.threads
        logits = np.concatenate([batch[:, :1] * 0, batch[:, :1] * 0 + 1], axis=1)
        logits[:, 0, : round(self.wrong_share * SIZE.height)] = 2
        return logits

    @contextmanager
    def lend(self, batch: np.ndarray) -> Iterator[np.ndarray]:
        yield self.run(batch)

    def close(self) -> None:
        self.closed = True


class PlannedNetwork(Network):
    """Opens planned sessions: (engine, precision, threads) to seconds and share of wrong labels."""

    plan: dict[tuple[str, str, int], tuple[float, float] | Exception]
    opened: dict[tuple[str, str, int], PlannedSession]
    clocks: tuple[Clock, Clock]  # of the wall, of the processor
    waits: dict[tuple[str, str, int], float]  # seconds of each run in which others had the cores

    def open(self, choice: Choice) -> PlannedSession:
        key = (choice.engine, choice.precision, choice.threads)
        outcome = self.plan[key]
        if isinstance(outcome, Exception):
            raise outcome
        session = PlannedSession(self.clocks, *outcome, choice.threads)
        session.waits_s = self.waits.get(key, 0.0)
        assert key not in self.opened, "loaded twice"
        self.opened[key] = session
        return session


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., PlannedNetwork]:
    """A network of two cores whose candidates behave as planned."""
    monkeypatch.setattr(engine_choice, "offers_bf16", lambda: True)
    monkeypatch.setattr(engine_choice.ProcessorTime, "now", lambda: None)
    clocks = (Clock(), Clock())
    monkeypatch.setattr(engine_choice, "perf_counter", clocks[0])
    monkeypatch.setattr(engine_choice, "process_time", clocks[1])

    def planned(**changes: tuple[float, float] | Exception) -> PlannedNetwork:
        usual = {"fp32": (0.02, 0.0), "bf16": (0.02, 0.0), "other": (0.02, 0.0), "one": (0.04, 0.0)}
        outcomes = {**usual, **changes}
        network = PlannedNetwork(tmp_path / "weights.onnx", "c" * 64, SIZE, tmp_path / "cache")
        keys = {
            "fp32": ("openvino", "fp32", 2),
            "bf16": ("openvino", "bf16", 2),
            "other": ("onnxruntime", "fp32", 2),
            "one": ("openvino", "fp32", 1),
        }
        plan = {keys[name]: outcome for name, outcome in outcomes.items() if name in keys}
        plan[("openvino", "bf16", 1)] = plan[("onnxruntime", "fp32", 1)] = (0.04, 0.0)
        object.__setattr__(network, "plan", plan)
        object.__setattr__(network, "opened", {})
        object.__setattr__(network, "clocks", clocks)
        object.__setattr__(network, "waits", {})
        return network

    return planned


def chosen(network: Network) -> tuple[str, str, int]:
    choice = choose_engine(network, CoreBudget(2))
    return choice.engine, choice.precision, choice.threads


def test_where_all_are_equal_the_exact_one_is_taken(plan) -> None:
    network = plan()
    assert chosen(network) == ("openvino", "fp32", 2)
    assert all(session.closed for session in network.opened.values())
    assert all(session.runs <= 20 for session in network.opened.values())


def test_the_fastest_that_agrees_wins(plan) -> None:
    assert chosen(plan(bf16=(0.01, 0.0))) == ("openvino", "bf16", 2)


def test_another_engine_may_win(plan) -> None:
    assert chosen(plan(other=(0.005, 0.0), bf16=(0.01, 0.0))) == ("onnxruntime", "fp32", 2)


def test_however_fast_one_that_disagrees_is_refused(plan) -> None:
    network = plan(bf16=(0.001, 0.1))
    assert chosen(network) == ("openvino", "fp32", 2)
    trials = json.loads(network.record_path.read_text())["trials"]
    [trial] = [trial for trial in trials if trial["choice"]["precision"] == "bf16"]
    assert trial["verdict"].startswith("its labels differ")
    assert 0.85 < trial["agreement"] < 0.95


def test_threads_that_gain_nothing_are_left_to_others(plan) -> None:
    assert chosen(plan(one=(0.02, 0.0))) == ("openvino", "fp32", 1)


def test_on_a_busy_machine_threads_are_not_judged(plan, monkeypatch: pytest.MonkeyPatch) -> None:
    class Busy:
        def crowded_until(self, _: "Busy") -> bool:
            return True

    monkeypatch.setattr(engine_choice.ProcessorTime, "now", Busy)
    network = plan(one=(0.001, 0.0))
    assert chosen(network) == ("openvino", "fp32", 2)
    assert ("openvino", "fp32", 1) not in network.opened


def test_a_busy_machine_does_not_change_the_choice(plan) -> None:
    network = plan(bf16=(0.01, 0.0))
    network.waits["openvino", "bf16", 2] = 0.5  # by the clock it seems slow
    assert chosen(network)[:2] == ("openvino", "bf16")


def test_gpus_are_measured_by_the_clock(plan) -> None:
    network = plan(other=(0.001, 0.0))
    network.waits["onnxruntime", "fp32", 2] = 0.5  # the processor waits for the GPU
    opened = network.open

    def on_gpu(choice: Choice) -> PlannedSession:
        session = opened(choice)
        session.device = "cuda" if choice.engine == "onnxruntime" else "cpu"
        return session

    object.__setattr__(network, "open", on_gpu)
    assert chosen(network) == ("openvino", "fp32", 2)


def test_what_others_cut_short_is_measured_again(plan, monkeypatch: pytest.MonkeyPatch) -> None:
    class Busy:
        def crowded_until(self, _: "Busy") -> bool:
            return True

    monkeypatch.setattr(engine_choice.ProcessorTime, "now", Busy)
    monkeypatch.setattr(engine_choice, "MOST_SECONDS_IN_ALL", 0.0)
    network = plan(bf16=(0.001, 0.0))
    assert chosen(network) == ("openvino", "fp32", 2)
    assert not network.record_path.exists()
    monkeypatch.setattr(engine_choice, "MOST_SECONDS_IN_ALL", 15.0)
    network.opened.clear()
    assert chosen(network) == ("openvino", "bf16", 2)
    assert network.record_path.exists()


def test_it_ends_in_time(plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_choice, "MOST_SECONDS_IN_ALL", 0.0)
    network = plan(bf16=(0.001, 0.0))
    assert chosen(network) == ("openvino", "fp32", 2)
    assert len(network.opened) == 1
    monkeypatch.setattr(engine_choice, "MOST_SECONDS_IN_ALL", 15.0)
    monkeypatch.setattr(engine_choice, "MOST_SECONDS", 0.0)
    network.record_path.unlink()
    network.opened.clear()
    chosen(network)
    assert network.opened["onnxruntime", "fp32", 2].runs == engine_choice.LEAST_RUNS


def test_candidates_that_can_not_be_loaded_are_passed_over(plan) -> None:
    assert chosen(plan(bf16=BadPackage("no"), other=MissingDependency("no"))) == (
        "openvino",
        "fp32",
        2,
    )


def test_without_openvino_onnxruntime_needs_no_measurement(plan, caplog) -> None:
    network = plan(fp32=MissingDependency("OpenVINO is not installed"))
    assert chosen(network) == ("onnxruntime", "fp32", 2)
    assert "OpenVINO is not installed" in caplog.text
    assert network.opened["onnxruntime", "fp32", 2].runs == 0
    broken = plan(fp32=BadPackage("broken"), other=BadPackage("broken"))
    network.record_path.unlink()
    with pytest.raises(BadPackage):
        choose_engine(broken, CoreBudget(2))
    assert not broken.record_path.exists()


def test_a_record_is_read_until_something_changes(plan, caplog) -> None:
    caplog.set_level(logging.INFO)
    network = plan()
    first = chosen(network)
    assert "engines measured" in caplog.text
    network.opened.clear()
    assert chosen(network) == first
    assert network.opened == {}
    values = json.loads(network.record_path.read_text())
    values["environment"]["versions"]["openvino"] = "2020.1"
    network.record_path.write_text(json.dumps(values))
    chosen(network)
    assert network.opened
    network.opened.clear()
    network.record_path.write_text('{"format": 2')
    chosen(network)
    assert network.opened
    assert "measured anew" in caplog.text


def test_a_folder_that_can_not_be_written_keeps_no_model_from_being_served(plan, caplog) -> None:
    network = plan()
    network.cache_folder.touch()  # a file in its place
    assert chosen(network) == ("openvino", "fp32", 2)
    assert "can't be written" in caplog.text


def test_two_loads_at_once_measure_once(plan) -> None:
    network = plan()  # it fails where a candidate is loaded twice
    answers: list[tuple[str, str, int]] = []
    threads = [threading.Thread(target=lambda: answers.append(chosen(network))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [("openvino", "fp32", 2)] * 3


def test_a_real_network_is_measured_and_opened(tmp_path: Path, save_network: Save) -> None:
    weights = save_network()
    network = Network(weights, sha256_of(weights), SIZE, tmp_path / "cache")
    choice = choose_engine(network, CoreBudget(2))
    session = network.open(choice)
    assert session.run(np.zeros((1, 3, 32, 48), np.float32)).shape == (1, 4, 32, 48)
    record = json.loads(network.record_path.read_text())
    assert record["chosen"]["engine"] == session.engine
    agreements = [t["agreement"] for t in record["trials"] if t["agreement"] is not None]
    assert min(agreements) > 0.9
    assert len(list(network.cache_folder.glob("*.compiled"))) <= 1


def test_it_works_without_openvino_too(
    tmp_path: Path, save_network: Save, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    weights = save_network()
    network = Network(weights, sha256_of(weights), SIZE, tmp_path / "cache")
    assert choose_engine(network, CoreBudget(2)).engine == "onnxruntime"
