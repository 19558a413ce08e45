"""A SAM 2 checkpoint as two ONNX files that were compared with it."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from atrous.domain.errors import BadInput
from atrous.export.sam2_checkpoint import read_sam2_checkpoint
from atrous.export.sam2_graphs import PromptDecoder
from atrous.export.sam2_network import build_sam2_network
from atrous.export.sam2_onnx import export_decoder, export_encoder
from atrous.export.sam2_parity import insist_on_parity, measure_sam2_parity
from atrous.export.sam2_photo_encoder import PhotoEncoder

ENCODER, DECODER = "encoder.onnx", "decoder.onnx"


@dataclass(frozen=True)
class ConvertedSam2:
    """What a conversion wrote, and what is known about it."""

    encoder: Path
    decoder: Path
    version: str  # "2.0" or "2.1", as the tensors say
    facts: dict[str, Any]  # JSON values for the manifest


def convert_sam2(source: Path, variant: str, folder: Path, version: str | None) -> ConvertedSam2:
    """Write encoder.onnx and decoder.onnx to `folder`, which exists and is thrown away on errors.

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
    parity = measure_sam2_parity(network, folder / ENCODER, folder / DECODER)
    insist_on_parity(parity)
    facts = {"layout": checkpoint.layout, "parity": asdict(parity)}
    return ConvertedSam2(folder / ENCODER, folder / DECODER, checkpoint.version, facts)
