"""SAM 2 in its official code (pip rf-sam-2), with seeded random weights, and pictures for it."""

import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

CONFIGS = {"hiera_tiny": "t", "hiera_small": "s", "hiera_b_plus": "b+", "hiera_large": "l"}
TOKENS = ("iou_token", "mask_tokens", "obj_score_token", "not_a_point_embed", "no_mask_embed")


def build_network(variant: str, version: str, *, weights: bool = True) -> Any:
    """The official network; with weights that give masks worth comparing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of hydra and torch.jit
        from sam2.build_sam import build_sam2

        sam = "sam2" if version == "2.0" else "sam2.1"
        config = f"configs/{sam}/{sam}_hiera_{CONFIGS[variant]}.yaml"
        network = build_sam2(config, device="cpu")
    if weights:
        network.load_state_dict(random_weights(network.state_dict()))
    return network.eval()


def random_weights(state: dict[str, torch.Tensor], seed: int = 0) -> dict[str, torch.Tensor]:
    """Weights that keep the size of what flows through; official initial ones give flat masks."""
    random = torch.Generator().manual_seed(seed)
    return {name: _random(name, tensor, random) for name, tensor in state.items()}


def _random(name: str, tensor: torch.Tensor, random: torch.Generator) -> torch.Tensor:
    noise = torch.randn(tensor.shape, generator=random)
    if name.endswith(".bias"):
        return 0.1 * noise
    if "pos_embed" in name:
        return 0.5 * noise
    if tensor.ndim == 1:  # of norms
        return 1 + 0.1 * noise
    single = any(token in name for token in TOKENS) or "point_embeddings" in name
    if name.endswith(".weight") and not single:
        transposed = "output_upscaling" in name
        fan_in = tensor.shape[0] if transposed else tensor[0].numel()
        return noise / math.sqrt(fan_in)
    return noise


def save_meta(network: Any, path: Path) -> None:
    """As Meta publishes it: tensors under `model`."""
    torch.save({"model": network.state_dict()}, path)


def predictor(network: Any) -> Any:
    """The official predictor of photos."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from sam2.sam2_image_predictor import SAM2ImagePredictor

    return SAM2ImagePredictor(network, disable_torch_jit=True)


def photo(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Clouds, rectangles and a little noise: smooth and hard edges at every scale."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32) / max(height, width)
    picture = np.empty((height, width, 3), np.float32)
    for channel in range(3):
        a, b, c = random.uniform(2, 14, 3)
        picture[:, :, channel] = 128 + 60 * np.sin(a * rows + b * columns + c)
    for _ in range(30):
        top, bottom = np.sort(random.integers(0, height + 1, 2))
        left, right = np.sort(random.integers(0, width + 1, 2))
        picture[top:bottom, left:right] += random.uniform(-60, 60, 3)
    picture += random.normal(0, 8, picture.shape)
    return picture.clip(0, 255).astype(np.uint8)


def save_hub(tensors: dict[str, torch.Tensor], folder: Path, version: str = "2.1") -> None:
    """As on the Hugging Face hub: transformers' names, those for videos among them."""
    import safetensors.torch
    from transformers import Sam2VideoConfig, Sam2VideoModel

    is_newer = version == "2.1"
    video = Sam2VideoModel(
        Sam2VideoConfig(
            enable_occlusion_spatial_embedding=is_newer,
            enable_temporal_pos_encoding_for_object_pointers=is_newer,
        )
    )
    # The encoder of videos is the photos', which comes with the tensors, whatever its size.
    of_videos = {
        name: tensor
        for name, tensor in video.state_dict().items()
        if not name.startswith("vision_encoder.")
    }
    state = {**of_videos, **tensors}
    folder.mkdir()
    whole = {name: tensor.clone().contiguous() for name, tensor in state.items()}
    safetensors.torch.save_file(whole, folder / "model.safetensors", metadata={"format": "pt"})
    video.config.save_pretrained(folder)
