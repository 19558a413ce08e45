import io
import json
from dataclasses import replace

import pytest
from rich.console import Console
from serving.alternation import CaseResult, Side
from serving.figures import Times
from serving.model_run import ModelResult
from serving.tables import print_tables
from serving.targets import Target, at_least, at_most, judge

SERVER = Side(
    Times(60.0, 65.0, 30), {"decode": 4.0, "network": 42.0, "encode": 3.0, "http": 11.0}, 400.0
)
OWN = Side(Times(50.0, 52.0, 30), {"decode": 4.0, "network": 42.0, "postprocess": 4.0}, 300.0)
PEER = Side(
    Times(300.0, 320.0, 12),
    {"decode": 8.0, "network": 77.0, "postprocess": 150.0, "encode": 65.0},
    1100.0,
)


def case(backbone: str, *, ratio: float = 5.5, reference: bool = True) -> CaseResult:
    return CaseResult(
        name=f"{backbone}-21-1232x821",
        backbone=backbone,
        classes=21,
        weights="random",
        photo="1232x821",
        is_reference=reference,
        server=SERVER,
        segmenter=OWN,
        peer=PEER,
        peer_server=None,
        around_network_ms=18.0,
        ratio=ratio,
        ratio_in_process=4.7,
        ratio_of_servers=None,
    )


def model(backbone: str, **values: float) -> ModelResult:
    def level(clients: int, own: float, times_one: float, peer: float) -> dict[str, object]:
        figures = {"clients": clients, "answered": 9, "median_ms": 9.0, "p95_ms": 9.0}
        return {
            "clients": clients,
            "times_one": times_one,
            "pairs": [] if clients == 1 else [times_one - 0.125, times_one, times_one + 0.25],
            "peak_mib": 400.0 + clients,
            "server": {**figures, "per_second": own},
            "peer": {**figures, "per_second": peer},
        }

    return ModelResult(
        model=f"{backbone}-21",
        backbone=backbone,
        classes=21,
        weights="random",
        engine={"engine": "openvino", "precision": "bf16"},
        start_up={
            "server_uncached_s": 2.5,
            "server_cached_s": 1.5,
            "peer": {"import_s": 5.0, "load_s": 1.0, "versions": {}},
        },
        cases=[case(backbone, **values)],
        throughput=[
            level(1, 15.0, 1.0, 4.0),
            level(16, 18.0, 1.2, 5.0),
            level(64, 15.0, 0.98, 5.0),  # one client was faster, too, when it was measured
        ],
        overload={
            "rate": 36.0,
            "refused_share": 0.5,
            "other": 0,
            "p50_ms": 3000.0,
            "p99_ms": 3800.0,
            "bound_ms": 3666.0,
        },
        limit={"network_gflops": 300.0, "convolution_gflops": 400.0, "times_the_limit": 1.33},
    )


def verdicts(targets: list[Target]) -> dict[str, str]:
    return {target.name: target.verdict for target in targets}


def test_goals_are_hit_missed_or_not_measured() -> None:
    models = [model("mobilenetv2_100"), model("resnet50", ratio=2.4)]
    found = verdicts(judge(models, {}))
    assert found["end to end against the peer, MobileNetV2"] == "hit"
    assert found["end to end against the peer, ResNet-50"] == "missed"
    assert found["the same, our int8 package"] == "not measured"
    assert found["around the network, 21 classes"] == "hit"
    assert found["16 clients against 1"] == "hit"
    assert found["the least of 4, 16 and 64 clients against 1"] == "missed"
    assert found["16 clients against the peer's 16"] == "hit"
    assert found["memory of the server, ResNet-50"] == "hit"
    assert found["start-up, compiled before"] == "hit"
    assert found["network over the machine's limit, ResNet-50"] == "missed"
    assert found["overload: p99 over the wait for the last place"] == "hit"
    assert found["fp32: pixels equal, trained weights"] == "not measured"


def test_memory_is_judged_with_many_clients_too() -> None:
    greedy = model("resnet50")
    greedy.throughput[-1]["peak_mib"] = 501.0
    assert verdicts(judge([greedy], {}))["memory of the server, ResNet-50"] == "missed"


def test_a_queue_that_was_never_full_proves_no_bound() -> None:
    name = "overload: p99 over the wait for the last place"
    brief = model("resnet50")
    brief.overload["refused_share"] = 0.0
    assert verdicts(judge([brief], {}))[name] == "not measured"
    slow = model("resnet50")
    slow.overload["p99_ms"] = 9000.0
    assert verdicts(judge([slow], {}))[name] == "missed"


def test_a_failed_request_under_overload_is_a_miss() -> None:
    name = "overload: neither answered nor refused"
    assert verdicts(judge([model("resnet50")], {}))[name] == "hit"
    failing = model("resnet50")
    failing.overload["other"] = 1
    assert verdicts(judge([failing], {}))[name] == "missed"


def test_nothing_measured_hits_nothing() -> None:
    assert set(verdicts(judge([], {})).values()) == {"not measured"}


def test_cases_beside_the_reference_are_not_judged() -> None:
    beside = model("mobilenetv2_100")
    beside.cases.append(case("mobilenetv2_100", ratio=1.0, reference=False))
    found = verdicts(judge([beside], {}))
    assert found["end to end against the peer, MobileNetV2"] == "hit"


def test_agreement_is_judged_on_trained_weights_alone() -> None:
    random = model("resnet50")
    random.agreement = {"shares": {"a.jpg": 0.9}}
    name = "fp32: pixels equal, trained weights"
    assert verdicts(judge([random], {}))[name] == "not measured"
    trained = replace(random, weights="trained", agreement={"shares": {"a.jpg": 1.0, "b.jpg": 0.5}})
    assert verdicts(judge([trained], {}))[name] == "missed"
    trained.agreement = {"shares": {"a.jpg": 0.99995}}
    assert verdicts(judge([trained], {}))[name] == "hit"


@pytest.mark.parametrize(("bf16", "verdict"), [(0.7005, "hit"), (0.6995, "hit"), (0.72, "missed")])
def test_precisions_may_differ_in_neither_direction(bf16: float, verdict: str) -> None:
    quality = {"fp32": {"miou": 0.7}, "bf16": {"miou": bf16}, "int8": {"miou": 0.695}}
    found = verdicts(judge([], quality))
    assert found["bf16 against fp32: mIoU apart, in points"] == verdict
    assert found["int8: mIoU lost, in points"] == "hit"


def test_the_worst_figure_counts() -> None:
    assert at_least("a", 2.0, [5.0, 1.0, None], "x").verdict == "missed"
    assert at_most("a", 2.0, [1.0, 5.0], "s").measured == "5.00 s"
    assert at_most("a", 2.0, [None], "s") == Target("a", "at most 2 s", "-", "not measured")


def test_tables_show_every_figure_and_json_keeps_it() -> None:
    result = model("mobilenetv2_100")
    alone = replace(case("resnet50"), peer=None, ratio=None, ratio_in_process=None, note="no peer")
    result.cases.append(alone)
    console = Console(file=io.StringIO(), width=200)
    print_tables(console, [result], judge([result], {}))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    for words in ("5.50 x", "60.0, 65.0", "50% refused", "openvino bf16", "hit", "no peer"):
        assert words in text
    assert json.loads(json.dumps(result.as_json()))["cases"][0]["server"]["times"] == {
        "median_ms": 60.0,
        "p95_ms": 65.0,
        "count": 30,
    }
