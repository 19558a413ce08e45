"""Official SAM 2 checkpoints, in Meta's names or transformers', read without running anything."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from atrous.deeplab.checkpoint_files import read_state_dict
from atrous.domain.errors import BadInput

META_WRAPPER = "model"  # the key of Meta's files under which the tensors lie
# What a checkpoint holds for videos, and a photo does not need.
VIDEO_PREFIXES = (
    "memory_", "maskmem_tpos_enc", "mask_downsample", "no_mem_pos_enc", "no_obj_", "obj_ptr_",
    "object_pointer_proj", "no_memory_positional_encoding", "no_object_pointer",
    "occlusion_spatial_embedding_parameter", "temporal_positional_encoding_projection_layer",
)  # fmt: skip
ONLY_IN_21 = ("no_obj_embed_spatial", "occlusion_spatial_embedding_parameter")
SHARED_POSITION = "shared_image_embedding.positional_embedding"
PROMPT_POSITION = "prompt_encoder.shared_embedding.positional_embedding"
POINT_EMBEDDING = re.compile(r"sam_prompt_encoder\.point_embeddings\.(\d)\.weight")
BACKBONE = "vision_encoder.backbone"
MLP = r"(hypernetworks_mlps\.\d|iou_prediction_head|pred_obj_score_head)\.layers"
# Meta's names to transformers'; applied in this order, each where it matches.
RENAMES = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"^image_encoder\.trunk\.patch_embed\.proj\.", f"{BACKBONE}.patch_embed.projection."),
        (r"^image_encoder\.trunk\.", f"{BACKBONE}."),
        (r"^image_encoder\.neck\.convs\.(\d)\.conv\.", r"vision_encoder.neck.convs.\1."),
        (r"^sam_prompt_encoder\.pe_layer\.positional_encoding_gaussian_matrix$", SHARED_POSITION),
        (r"^sam_prompt_encoder\.mask_downscaling\.0\.", "prompt_encoder.mask_embed.conv1."),
        (r"^sam_prompt_encoder\.mask_downscaling\.1\.", "prompt_encoder.mask_embed.layer_norm1."),
        (r"^sam_prompt_encoder\.mask_downscaling\.3\.", "prompt_encoder.mask_embed.conv2."),
        (r"^sam_prompt_encoder\.mask_downscaling\.4\.", "prompt_encoder.mask_embed.layer_norm2."),
        (r"^sam_prompt_encoder\.mask_downscaling\.6\.", "prompt_encoder.mask_embed.conv3."),
        (r"^sam_prompt_encoder\.", "prompt_encoder."),
        (r"^sam_mask_decoder\.output_upscaling\.0\.", "mask_decoder.upscale_conv1."),
        (r"^sam_mask_decoder\.output_upscaling\.1\.", "mask_decoder.upscale_layer_norm."),
        (r"^sam_mask_decoder\.output_upscaling\.3\.", "mask_decoder.upscale_conv2."),
        (r"^sam_mask_decoder\.", "mask_decoder."),
        (MLP + r"\.0\.", r"\1.proj_in."),
        (MLP + r"\.1\.", r"\1.layers.0."),
        (MLP + r"\.2\.", r"\1.proj_out."),
        (r"\.mlp\.layers\.0\.", ".mlp.proj_in."),
        (r"\.mlp\.layers\.1\.", ".mlp.proj_out."),
        (r"\.norm_final_attn\.", ".layer_norm_final_attn."),
        (r"\.norm(\d)\.", r".layer_norm\1."),
        (r"\.out_proj\.", ".o_proj."),
        (r"^no_mem_embed$", "no_memory_embedding"),
    )
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Sam2Checkpoint:
    """The tensors that photos need, in transformers' names."""

    tensors: dict[str, Tensor]
    layout: str  # "meta" or "transformers"
    version: str  # "2.0" or "2.1"


def read_sam2_checkpoint(path: Path) -> Sam2Checkpoint:
    """Read Meta's `.pt`, the hub's `.safetensors`, or a folder that holds one of them.

    Pickled files are read with `weights_only=True`. BadInput says what is not understood.
    """
    state = read_state_dict(checkpoint_file(path), wrapper=META_WRAPPER)
    layout = "meta" if any(name.startswith("image_encoder.") for name in state) else "transformers"
    version = "2.1" if any(name in state for name in ONLY_IN_21) else "2.0"
    tensors = from_meta_names(state) if layout == "meta" else dict(state)
    tensors = {
        name: tensor.float()
        for name, tensor in tensors.items()
        if not name.startswith(VIDEO_PREFIXES)
    }
    if SHARED_POSITION in tensors:  # one matrix, which transformers keeps twice
        tensors.setdefault(PROMPT_POSITION, tensors[SHARED_POSITION])
    return Sam2Checkpoint(tensors, layout, version)


def from_meta_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors in transformers' names, which keep the four point embeddings in one."""
    renamed: dict[str, Tensor] = {}
    points: dict[int, Tensor] = {}
    for name, tensor in state.items():
        if point := POINT_EMBEDDING.fullmatch(name):
            points[int(point[1])] = tensor
            continue
        for pattern, replacement in RENAMES:
            name = pattern.sub(replacement, name)
        renamed[name] = tensor
    if points:
        renamed["prompt_encoder.point_embed.weight"] = torch.cat(
            [points[label] for label in sorted(points)]
        )
    return renamed


def checkpoint_file(path: Path) -> Path:
    """The checkpoint itself: `path`, or the one in the folder that it is."""
    if not path.is_dir():
        return path
    for pattern in ("model.safetensors", "*.safetensors", "sam2*.pt", "*.pt"):
        if found := sorted(path.glob(pattern)):
            return found[0]
    raise BadInput(
        f"{path} holds no model.safetensors and no .pt file; give the folder that was downloaded "
        "from the hub, or the checkpoint itself"
    )
