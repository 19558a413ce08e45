import argparse
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import ablation
import pytest

from atrous.domain.recipe_rules import checked
from atrous.domain.recipes import TrainingRecipe
from atrous.training.class_weights import BALANCING


def run(name: str, seed: int, test_miou: float) -> ablation.Run:
    return ablation.Run(name, seed, "8m", 240, {}, test_miou, test_miou, epochs=3)


def test_a_lever_is_compared_with_the_recipe_of_the_same_seeds() -> None:
    runs = [
        run(ablation.WHOLE, 0, 0.60),
        run(ablation.WHOLE, 1, 0.70),
        run("without", 0, 0.58),
        run("with more", 0, 0.61),
        run("with more", 1, 0.69),
        run("of another seed", 2, 0.10),
    ]
    gains = ablation.gains(runs)
    assert gains[ablation.WHOLE] == pytest.approx((65.0, 0.0, 2))
    assert gains["without"] == pytest.approx((58.0, -2.0, 1))
    assert gains["with more"] == pytest.approx((65.0, 0.0, 2))
    assert "of another seed" not in gains
    assert ablation.table_of(runs).row_count == 3


def test_every_variant_is_a_choice_that_a_training_takes() -> None:
    for name, changes in ablation.VARIANTS.items():
        choices = {**ablation.RECIPE, **changes}
        assert choices.pop("class_weights", "auto") in BALANCING
        plain = TrainingRecipe.from_json(
            {"preprocess": {"size": {"height": 180, "width": 240}}}
            | {"crop": {"height": 180, "width": 240}}
            | choices
        )
        assert checked(plain), name
        assert len(ablation.arguments_of(choices)) == 2 * len(choices)


def test_the_recipe_is_the_one_that_camvid_is_trained_with() -> None:
    script = (Path(ablation.__file__).parent / "real_data.sh").read_text()
    camvid = script.partition("  camvid)")[2].partition(";;")[0].replace("'", "")
    arguments = ablation.arguments_of(ablation.RECIPE)
    for option, value in zip(arguments[::2], arguments[1::2], strict=True):
        assert f"{option} {value}" in camvid


def test_what_was_trained_before_is_not_trained_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[tuple[str, int]] = []

    def train(
        name: str, choices: Mapping[str, object], seed: int, options: argparse.Namespace
    ) -> ablation.Run:
        trained.append((name, seed))
        return ablation.Run(
            name, seed, options.budget, options.size, dict(choices), 0.5, 0.5, epochs=3
        )

    monkeypatch.setattr(ablation, "train", train)
    out = tmp_path / "ablation.json"
    command = ["ablation.py", "--only", "lovasz", "--out", str(out), "--budget", "1m"]
    monkeypatch.setattr("sys.argv", command)
    ablation.main()
    first = list(trained)
    assert first[0] == (ablation.WHOLE, 0)
    assert len(first) == len(json.loads(out.read_text())["runs"]) > 1
    ablation.main()
    assert trained == first
    monkeypatch.setattr("sys.argv", [*command, "--seeds", "0,1"])
    ablation.main()
    assert sorted(trained) == sorted([*first, *((name, 1) for name, _ in first)])


def test_the_table_leaves_out_what_was_trained_by_another_recipe() -> None:
    options = argparse.Namespace(budget="8m", size=240)
    now = replace(run(ablation.WHOLE, 0, 0.6), choices=dict(ablation.RECIPE))
    assert ablation.is_current(now, options)
    assert not ablation.is_current(replace(now, choices={"ema_decay": 0.5}), options)
    assert not ablation.is_current(replace(now, name="a lever of before"), options)
    assert not ablation.is_current(replace(now, size=480), options)
