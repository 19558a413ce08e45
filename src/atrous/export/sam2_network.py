"""Transformers' SAM 2 for photos, with the weights of a checkpoint that was compared with it."""

from typing import Any

from torch import nn

from atrous.domain.errors import BadInput, MissingDependency
from atrous.export.sam2_checkpoint import Sam2Checkpoint

# What the four sizes differ in; what is absent is transformers' default, which is the smallest.
BACKBONES: dict[str, dict[str, Any]] = {
    "hiera_tiny": {},
    "hiera_small": {"blocks_per_stage": [1, 2, 11, 2], "global_attention_blocks": [7, 10, 13]},
    "hiera_b_plus": {
        "hidden_size": 112,
        "num_attention_heads": 2,
        "embed_dim_per_stage": [112, 224, 448, 896],
        "num_attention_heads_per_stage": [2, 4, 8, 16],
        "blocks_per_stage": [2, 3, 16, 3],
        "global_attention_blocks": [12, 16, 20],
        "window_positional_embedding_background_size": [14, 14],
    },
    "hiera_large": {
        "hidden_size": 144,
        "num_attention_heads": 2,
        "embed_dim_per_stage": [144, 288, 576, 1152],
        "num_attention_heads_per_stage": [2, 4, 8, 16],
        "blocks_per_stage": [2, 6, 36, 4],
        "global_attention_blocks": [23, 33, 43],
        "window_size_per_stage": [8, 4, 16, 8],
    },
}


def build_sam2_network(variant: str, checkpoint: Sam2Checkpoint) -> nn.Module:
    """Transformers' Sam2Model of a size, with these weights, ready to run.

    Raises BadInput where names or shapes of the tensors are not those of this size, and
    MissingDependency without transformers.
    """
    network = empty_sam2_network(variant)
    expected = network.state_dict()
    given = checkpoint.tensors
    missing = sorted(set(expected) - set(given))
    unknown = sorted(set(given) - set(expected))
    if missing or unknown:
        raise BadInput(
            f"this is no checkpoint of SAM 2 {variant}: {len(missing)} tensors are missing "
            f"({', '.join(missing[:3]) or 'none'}), {len(unknown)} are unknown "
            f"({', '.join(unknown[:3]) or 'none'}); name the size that it belongs to"
        )
    for name, tensor in expected.items():
        if tensor.shape != given[name].shape:
            raise BadInput(
                f"this is no checkpoint of SAM 2 {variant}: {name} has shape "
                f"{tuple(given[name].shape)}, expected {tuple(tensor.shape)}; name the size that "
                "it belongs to"
            )
        if not given[name].isfinite().all():
            raise BadInput(f"{name} of the checkpoint holds nan or inf; fetch the file again")
    network.load_state_dict(given)
    return network.eval()


def empty_sam2_network(variant: str) -> nn.Module:
    """Transformers' Sam2Model of a size with random weights; MissingDependency without it."""
    try:
        from transformers import Sam2Config, Sam2HieraDetConfig, Sam2Model, Sam2VisionConfig
    except ImportError as error:
        raise MissingDependency(
            "converting SAM 2 needs transformers and torch: pip install 'atrous[sam2]'; "
            "serving needs neither"
        ) from error
    backbone = Sam2HieraDetConfig(**BACKBONES[variant])
    channels = list(reversed(backbone.embed_dim_per_stage or []))
    vision = Sam2VisionConfig(backbone_config=backbone, backbone_channel_list=channels)
    network: nn.Module = Sam2Model(Sam2Config(vision_config=vision))
    return network
