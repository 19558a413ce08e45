from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import safetensors.torch
import torch

from atrous.domain.errors import BadInput
from atrous.export.sam2_checkpoint import checkpoint_file, from_meta_names, read_sam2_checkpoint


def test_both_official_layouts_give_the_same(
    official_sam2: ModuleType, sam2_checkpoint: Path, tmp_path: Path
) -> None:
    meta = read_sam2_checkpoint(sam2_checkpoint)
    official_sam2.save_hub(meta.tensors, tmp_path / "hub")
    assert (meta.layout, meta.version) == ("meta", "2.1")
    for source in (tmp_path / "hub", tmp_path / "hub" / "model.safetensors"):
        hub = read_sam2_checkpoint(source)
        assert (hub.layout, hub.version) == ("transformers", "2.1")
        assert set(hub.tensors) == set(meta.tensors)
        assert all(torch.equal(hub.tensors[name], meta.tensors[name]) for name in meta.tensors)


def test_version_is_seen_from_the_tensors(official_sam2: ModuleType, tmp_path: Path) -> None:
    older = official_sam2.build_network("hiera_tiny", "2.0", weights=False)
    official_sam2.save_meta(older, tmp_path / "sam2_hiera_tiny.pt")
    assert read_sam2_checkpoint(tmp_path).version == "2.0"


def test_four_point_embeddings_become_one() -> None:
    state = {
        f"sam_prompt_encoder.point_embeddings.{label}.weight": torch.full((1, 3), float(label))
        for label in (2, 0, 3, 1)
    }
    joined = from_meta_names(state)["prompt_encoder.point_embed.weight"]
    assert joined.tolist() == [[label] * 3 for label in (0.0, 1.0, 2.0, 3.0)]


def test_half_precision_is_widened(tmp_path: Path) -> None:
    state: dict[str, Any] = {"mask_decoder.iou_token.weight": torch.ones(1, 2).half()}
    safetensors.torch.save_file(state, tmp_path / "model.safetensors")
    (tensor,) = read_sam2_checkpoint(tmp_path).tensors.values()
    assert tensor.dtype == torch.float32


def test_folder_without_a_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"no model\.safetensors and no \.pt"):
        checkpoint_file(tmp_path)
    (tmp_path / "other.pt").touch()
    assert checkpoint_file(tmp_path) == tmp_path / "other.pt"
    (tmp_path / "sam2_hiera_tiny.pt").touch()
    assert checkpoint_file(tmp_path).name == "sam2_hiera_tiny.pt"
    (tmp_path / "model.safetensors").touch()
    assert checkpoint_file(tmp_path).name == "model.safetensors"


def test_something_else_is_refused(tmp_path: Path) -> None:
    torch.save({"model": {"step": 3}}, tmp_path / "trainer.pt")
    with pytest.raises(BadInput, match="expected tensors alone"):
        read_sam2_checkpoint(tmp_path / "trainer.pt")
    with pytest.raises(BadInput, match=r"absent\.pt"):
        read_sam2_checkpoint(tmp_path / "absent.pt")


class Planted:
    """An object whose unpickling would create a file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.file,)


def test_code_in_a_file_is_not_run(tmp_path: Path) -> None:
    torch.save({"model": Planted(tmp_path / "trace")}, tmp_path / "planted.pt")
    with pytest.raises(BadInput):
        read_sam2_checkpoint(tmp_path / "planted.pt")
    assert not (tmp_path / "trace").exists()
