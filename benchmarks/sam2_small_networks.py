"""Networks of no account in SAM 2's shapes: to send thousands of photos through a server."""

from pathlib import Path

import torch
from torch import Tensor, nn

from atrous.export.sam2_onnx import export_decoder, export_encoder
from atrous.sam2.models import Sam2Package, find_package, write_sam2_package

RADIUS = 200.0  # of the disc that is answered, in pixels of the network's input


def ensure_small_package(models: Path, variant: str) -> Sam2Package:
    """A model that reads photos and answers prompts with discs; written where it is not there."""
    if not (models / f"{variant}-2.1").is_dir():
        models.mkdir(parents=True, exist_ok=True)
        encoder, decoder = models / "encoder.onnx", models / "decoder.onnx"
        export_encoder(SmallEncoder(), encoder)
        export_decoder(SmallDecoder(), decoder)
        write_sam2_package(
            models / f"{variant}-2.1",
            encoder=encoder,
            decoder=decoder,
            variant=variant,
            version="2.1",
            facts={},
        )
        encoder.unlink()
        decoder.unlink()
    return find_package(models, variant)


class SmallEncoder(nn.Module):
    """A photo's grey levels as an embedding of the official size."""

    def forward(self, photo: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Give features of positions, of their 4 cells, and of their 16 cells."""
        grey = nn.functional.avg_pool2d(photo, 16).mean(dim=1).reshape(1, 4096, 1)
        wide = grey * torch.linspace(0.5, 1.5, 256)
        return (
            wide,
            wide.reshape(1, 4096, 4, 64) + 1.0,
            torch.cat([wide, wide], dim=-1).reshape(1, 4096, 16, 32),
        )


class SmallDecoder(nn.Module):
    """Discs round the first point of each prompt; every input is read."""

    def forward(
        self,
        positions: Tensor,
        cells_4: Tensor,
        cells_16: Tensor,
        point_coords: Tensor,
        point_labels: Tensor,
        mask_input: Tensor,
        has_mask_input: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Give logits (prompts, 4, 256, 256) and predicted IoU (prompts, 4)."""
        centres = (torch.arange(256) + 0.5) * 4.0
        x, y = point_coords[:, 0, 0], point_coords[:, 0, 1]
        away = (
            (centres[None, None, :] - x[:, None, None]) ** 2
            + (centres[None, :, None] - y[:, None, None]) ** 2
        ).sqrt()
        rest = positions.mean() + cells_4.mean() + cells_16.mean() + point_labels.float().mean()
        rest = 1e-6 * (rest + (mask_input * has_mask_input).mean())
        logits = (RADIUS - away)[:, None] * torch.tensor([0.9, 1.0, 1.1, 1.2])[:, None, None]
        scores = logits.mean(dim=(2, 3)) * 1e-6 + torch.tensor([0.6, 0.7, 0.9, 0.8]) + rest
        return logits, scores
