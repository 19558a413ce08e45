"""A run's best checkpoint as a model package that has been compared with it."""

import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from atrous.datasets.version import Sample
from atrous.deeplab.network import with_output_stride
from atrous.export.onnx_file import export_onnx
from atrous.export.parity import insist, measure_parity
from atrous.packages.directory import ModelPackage, write_package
from atrous.training.checkpoint import BestCheckpoint


def export_package(best: BestCheckpoint, samples: Sequence[Sample], folder: Path) -> ModelPackage:
    """Write the package to `folder`, which must not exist yet.

    samples: photos that torch and the exported graph are compared on (the validation split).
    Raises ExportRefused, leaving nothing behind, where the two networks do not agree.
    """
    recipe = best.recipe
    network = with_output_stride(best.network, recipe.export_output_stride).eval()
    with tempfile.TemporaryDirectory(prefix="atrous-export-") as scratch:
        weights = Path(scratch) / "weights.onnx"
        export_onnx(network, recipe.preprocess.size, weights)
        parity = measure_parity(network, weights, recipe.preprocess, samples)
        insist(parity)
        manifest = {
            "architecture": recipe.architecture,
            "backbone": recipe.backbone,
            "background_labelled": best.classes.background_labelled,
            "metrics": {"valid": best.metrics},
            "best_epoch": best.epoch,
            "network": asdict(best.network.config),
            "parity": parity.as_json(),
            "recipe": recipe.to_json(),
        }
        return write_package(
            folder,
            weights=weights,
            classes=best.classes,
            preprocess=recipe.preprocess,
            manifest=manifest,
        )
