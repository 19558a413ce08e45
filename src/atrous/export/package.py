"""A trained network as a model package that has been compared with it."""

import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from atrous.deeplab.network import DeepLab, with_output_stride
from atrous.domain.classes import ClassTable
from atrous.domain.recipes import TrainingRecipe
from atrous.domain.views import Views
from atrous.export.onnx_file import export_onnx
from atrous.export.parity import Photo, insist, measure_parity
from atrous.packages.directory import ModelPackage, write_package


def export_package(
    network: DeepLab,
    classes: ClassTable,
    recipe: TrainingRecipe,
    samples: Sequence[Photo],
    folder: Path,
    facts: dict[str, Any],
) -> ModelPackage:
    """Write the package to `folder`, which must not exist yet.

    samples: photos that torch and the exported graph are compared on (the validation split).
    facts: JSON values that the manifest gets besides recipe and parity, as metrics.
    Raises ExportRefused, leaving nothing behind, where the two networks do not agree.
    """
    exported = with_output_stride(network, recipe.export_output_stride).eval()
    with tempfile.TemporaryDirectory(prefix="atrous-export-") as scratch:
        weights = Path(scratch) / "weights.onnx"
        preprocess = recipe.export_preprocess
        export_onnx(exported, preprocess.size, weights)
        parity = measure_parity(exported, weights, preprocess, samples)
        insist(parity)
        manifest = {
            **facts,
            "architecture": recipe.architecture,
            "backbone": recipe.backbone,
            "background_labelled": classes.background_labelled,
            "network": asdict(exported.config),
            "parity": parity.as_json(),
            "recipe": recipe.to_shown_json(),
            "views": Views(flip=recipe.export_flip).to_json(),
        }
        return write_package(
            folder,
            weights=weights,
            classes=classes,
            preprocess=preprocess,
            manifest=manifest,
        )
