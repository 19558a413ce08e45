import logging
from pathlib import Path
from types import ModuleType

import pytest
import safetensors.torch
import torch

from atrous.deeplab.weights import WeightsReport, normalization
from atrous.domain.errors import BadInput
from atrous.training import first_network
from atrous.training.first_network import insist_on_start, load_first_weights, make_network


def report(tiny: ModuleType, source: str, matched: int) -> WeightsReport:
    return WeightsReport(source, matched, (), *normalization(tiny.BACKBONE))


def test_weights_are_asked_for(
    tiny: ModuleType, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked = []
    found = report(tiny, "pip package x", 9)
    monkeypatch.setattr(
        first_network, "load_backbone_weights", lambda network: asked.append(network) or found
    )
    network = make_network(tiny.tiny_recipe(), 3)
    with caplog.at_level(logging.WARNING):
        load_first_weights(network, tiny.tiny_recipe(pretrained=True, norm="frozen"))
    assert asked == [network]
    assert "RANDOM" not in caplog.text
    load_first_weights(network, tiny.tiny_recipe(pretrained=False))
    assert "RANDOM weights, as asked" in caplog.text
    assert len(asked) == 1


def test_random_weights_do_not_stay_as_they_are_unasked(
    tiny: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Norms that keep mean 0 and variance 1 normalise nothing, for the whole training."""
    none = report(tiny, "random", 0)
    monkeypatch.setattr(first_network, "load_backbone_weights", lambda _: none)
    network = make_network(tiny.tiny_recipe(), 3)
    for choices, said in (
        ({"norm": "frozen"}, "the norms, without --norm batch"),
        ({"frozen_stride": 4}, "the first layers, without --set frozen_stride=0"),
    ):
        recipe = tiny.tiny_recipe(pretrained=True, **choices)
        with pytest.raises(BadInput, match=f"no weights of backbone .*{said}"):
            load_first_weights(network, recipe)
    load_first_weights(network, tiny.tiny_recipe(pretrained=True, norm="batch"))
    load_first_weights(network, tiny.tiny_recipe(pretrained=False, norm="frozen"))  # as asked


def test_a_checkpoint_of_another_network_is_found_before_the_run(
    tiny: ModuleType, tmp_path: Path
) -> None:
    start = tmp_path / "best.safetensors"
    safetensors.torch.save_file(make_network(tiny.tiny_recipe(), 3).state_dict(), start)
    state = torch.random.get_rng_state()
    insist_on_start(tiny.tiny_recipe(start=str(start)), 5)
    insist_on_start(tiny.tiny_recipe(), 5)
    assert torch.equal(torch.random.get_rng_state(), state)
    with pytest.raises(BadInput, match="tensors fit .*best.safetensors; take the"):
        insist_on_start(tiny.tiny_recipe(start=str(start), backbone="resnet18"), 5)
