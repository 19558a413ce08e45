"""Weights to measure SAM 2 with where there are no official ones: random, with smooth masks."""

import math
from pathlib import Path

import safetensors.torch
import torch

from atrous.export.sam2_network import empty_sam2_network

# What sees the photo speaks softly, and what tells places apart loudly: masks then follow the
# places of positions and clicks, as smooth as those of trained weights. Else each would have
# thousands of corners, and writing them would take longer than the networks do.
STRENGTHS = {
    "vision_encoder.neck.": 0.01,
    "mask_decoder.conv_s": 0.01,
    "no_mask_embed": 0.1,
    "positional_embedding": 0.5,
    "cross_attn_image_to_token.q_proj.weight": 3.0,
    "cross_attn_image_to_token.k_proj.weight": 3.0,
    "output_hypernetworks_mlps": 1.0,
}
SINGLE = ("token", "point_embed", "not_a_point_embed", "no_mask_embed", "positional_embedding")


def write_random_checkpoint(variant: str, path: Path) -> Path:
    """Write seeded weights of a size in transformers' layout, unless they are there."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        random = torch.Generator().manual_seed(0)
        state = empty_sam2_network(variant).state_dict()
        weights = {name: _random(name, tensor, random) for name, tensor in state.items()}
        shared = "shared_image_embedding.positional_embedding"
        weights["prompt_encoder.shared_embedding.positional_embedding"] = weights[shared].clone()
        safetensors.torch.save_file(weights, path)
    return path


def _random(name: str, tensor: torch.Tensor, random: torch.Generator) -> torch.Tensor:
    noise = torch.randn(tensor.shape, generator=random)
    if "upscale_conv" in name and tensor.ndim == 4:
        noise = noise[:, :, :1, :1].expand(tensor.shape)  # the same for all cells of a position
    leaf = name.split(".")[-2] if "." in name else name
    if name.endswith(".bias"):
        value = 0.1 * noise
    elif "pos_embed" in name:
        value = 0.5 * noise
    elif tensor.ndim == 1:  # of norms
        value = 1 + 0.1 * noise
    elif name.endswith(".weight") and not leaf.endswith(SINGLE) and leaf != "mask_tokens":
        fan_in = tensor.shape[0] if "upscale" in name else tensor[0].numel()
        value = noise / math.sqrt(fan_in)
    else:
        value = noise
    for words, strength in STRENGTHS.items():
        if words in name:
            value = value * strength
    return value
