import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import torch

from atrous.domain.errors import BadInput, MissingDependency
from atrous.export.sam2_checkpoint import VIDEO_PREFIXES, from_meta_names, read_sam2_checkpoint
from atrous.export.sam2_network import BACKBONES, build_sam2_network, empty_sam2_network


@pytest.mark.parametrize("variant", list(BACKBONES))
def test_every_official_size_fits(official_sam2: ModuleType, variant: str) -> None:
    """Names and shapes of the official code's tensors, all four sizes."""
    official = official_sam2.build_network(variant, "2.1", weights=False).state_dict()
    with torch.device("meta"):
        expected = {
            name: tensor.shape for name, tensor in empty_sam2_network(variant).state_dict().items()
        }
    given = {
        name: tensor.shape
        for name, tensor in from_meta_names(official).items()
        if not name.startswith(VIDEO_PREFIXES)
    }
    del expected["prompt_encoder.shared_embedding.positional_embedding"]  # kept twice
    assert given == expected


def test_weights_are_those_of_the_checkpoint(sam2_checkpoint: Path) -> None:
    checkpoint = read_sam2_checkpoint(sam2_checkpoint)
    network = build_sam2_network("hiera_tiny", checkpoint)
    assert not network.training
    state = network.state_dict()
    assert all(torch.equal(state[name], checkpoint.tensors[name]) for name in state)


def test_another_size_is_refused(sam2_checkpoint: Path) -> None:
    checkpoint = read_sam2_checkpoint(sam2_checkpoint)
    with pytest.raises(BadInput, match=r"no checkpoint of SAM 2 hiera_small: \d+ tensors are miss"):
        build_sam2_network("hiera_small", checkpoint)
    name = "no_memory_embedding"
    wrong = replace(checkpoint, tensors={**checkpoint.tensors, name: torch.zeros(1, 1, 7)})
    with pytest.raises(BadInput, match=r"has shape \(1, 1, 7\), expected \(1, 1, 256\)"):
        build_sam2_network("hiera_tiny", wrong)
    broken = checkpoint.tensors[name] * float("nan")
    with pytest.raises(BadInput, match="nan or inf"):
        build_sam2_network(
            "hiera_tiny", replace(checkpoint, tensors={**checkpoint.tensors, name: broken})
        )


def test_missing_transformers_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingDependency, match=r"atrous\[sam2\]"):
        empty_sam2_network("hiera_tiny")
