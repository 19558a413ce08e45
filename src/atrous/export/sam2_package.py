"""A SAM 2 checkpoint as ONNX files that were compared with it."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from atrous.domain.errors import BadInput
from atrous.export.sam2_checkpoint import read_sam2_checkpoint
from atrous.export.sam2_graphs import PromptDecoder
from atrous.export.sam2_many_prompts import ManyPromptsDecoder
from atrous.export.sam2_network import build_sam2_network
from atrous.export.sam2_onnx import export_decoder, export_encoder, export_for_many
from atrous.export.sam2_parity import insist_on_parity, measure_sam2_parity
from atrous.export.sam2_photo_encoder import PhotoEncoder
from atrous.export.sam2_photo_terms import PhotoSide

ENCODER, DECODER = "encoder.onnx", "decoder.onnx"
PHOTO_TERMS, MANY_PROMPTS = "photo_terms.onnx", "many_prompts.onnx"


@dataclass(frozen=True)
class ConvertedSam2:
    """What a conversion wrote, and what is known about it."""

    encoder: Path
    decoder: Path
    version: str  # "2.0" or "2.1", as the tensors say
    facts: dict[str, Any]  # JSON values for the manifest
    for_many: tuple[Path, Path] | None = None  # what prompts have in common, and the rest


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
    for_many = (folder / PHOTO_TERMS, folder / MANY_PROMPTS)
    export_for_many(PhotoSide(network), ManyPromptsDecoder(network), *for_many)
    parity = measure_sam2_parity(network, folder / ENCODER, folder / DECODER, for_many)
    insist_on_parity(parity)
    facts = {"layout": checkpoint.layout, "parity": asdict(parity)}
    networks = (folder / ENCODER, folder / DECODER)
    return ConvertedSam2(*networks, checkpoint.version, facts, for_many)
