"""A SAM 2 checkpoint as ONNX files that were compared with it."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from atrous.domain.errors import BadInput
from atrous.export.sam2_checkpoint import read_sam2_checkpoint
from atrous.export.sam2_graphs import PromptDecoder
from atrous.export.sam2_network import build_sam2_network
from atrous.export.sam2_onnx import (
    export_decoder,
    export_encoder,
    export_photo_terms,
    export_prompt_tokens,
)
from atrous.export.sam2_parity import insist_on_parity, measure_sam2_parity
from atrous.export.sam2_photo_encoder import PhotoEncoder
from atrous.export.sam2_photo_terms import PhotoSide
from atrous.export.sam2_prompt_tokens import PromptTokens

ENCODER, DECODER = "encoder.onnx", "decoder.onnx"
FOR_MANY = ("photo_terms.onnx", *(f"prompt_tokens_{stage}.onnx" for stage in (1, 2, 3, 4)))


@dataclass(frozen=True)
class ConvertedSam2:
    """What a conversion wrote, and what is known about it."""

    encoder: Path
    decoder: Path
    version: str  # "2.0" or "2.1", as the tensors say
    facts: dict[str, Any]  # JSON values for the manifest
    for_many: tuple[Path, ...] | None = None  # what prompts have in common, and their stages


def convert_sam2(source: Path, variant: str, folder: Path, version: str | None) -> ConvertedSam2:
    """Write the networks to `folder`, which exists and is thrown away on errors.

    version: the one that the checkpoint should have; BadInput where it has another.
    Raises BadInput for a checkpoint of something else, ExportRefused where the written networks
    do not say what torch says.
    """
    checkpoint = read_sam2_checkpoint(source)
    if version not in (None, checkpoint.version):
        raise BadInput(
            f"{source} is a checkpoint of SAM {checkpoint.version}, expected {version}; "
            f"say --version {checkpoint.version}"
        )
    network = build_sam2_network(variant, checkpoint)
    export_encoder(PhotoEncoder(network), folder / ENCODER)
    export_decoder(PromptDecoder(network), folder / DECODER)
    for_many = tuple(folder / name for name in FOR_MANY)
    export_photo_terms(PhotoSide(network), for_many[0])
    export_prompt_tokens(PromptTokens(network), for_many[1:])
    parity = measure_sam2_parity(network, folder / ENCODER, folder / DECODER, for_many)
    insist_on_parity(parity)
    facts = {"layout": checkpoint.layout, "parity": asdict(parity)}
    networks = (folder / ENCODER, folder / DECODER)
    return ConvertedSam2(*networks, checkpoint.version, facts, for_many)
