"""A package whose network says the same in another form: int8, fp16, another stride or size."""

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from atrous.domain.geometry import Size
from atrous.packages import inference_config
from atrous.packages.directory import (
    KNOWN_FILES,
    MODEL_CARD,
    MODEL_CONFIG,
    OPENVINO_FILES,
    WEIGHTS,
    ModelPackage,
    copy_package,
    read_json,
    write_json,
)
from atrous.packages.manifest import FILE_NAME as MANIFEST
from atrous.packages.manifest import build_manifest
from atrous.packages.recommendation import FIELD as RECOMMENDED

OF_THE_NETWORK = (WEIGHTS, *OPENVINO_FILES, MANIFEST, MODEL_CARD)


def write_variant(
    source: ModelPackage,
    folder: Path,
    *,
    weights: Path,
    facts: dict[str, Any],
    card: str,
    openvino: Path | None = None,
    size: Size | None = None,
) -> ModelPackage:
    """Write a package with another network and all else of `source`, its thresholds included.

    facts: JSON values of the manifest, in place of those of `source`. `recommended_parameters`
        among them are written where peers look for them, too.
    card: Markdown that follows the model card of `source`, or is the whole card.
    openvino: the .xml of the same network in OpenVINO's format, its .bin beside it.
    size: of the network's input; None: that of `source`.
    `folder` is complete or absent. Raises Conflict where it exists.
    """
    with tempfile.TemporaryDirectory(prefix="atrous-variant-") as temporary:
        draft = Path(temporary)
        for name in KNOWN_FILES:
            if name not in OF_THE_NETWORK and (source.folder / name).is_file():
                shutil.copyfile(source.folder / name, draft / name)
        shutil.copyfile(weights, draft / WEIGHTS)
        if size not in (None, source.preprocess.size):
            config = inference_config.config_from_recipe(replace(source.preprocess, size=size))
            write_json(draft / inference_config.FILE_NAME, config)
        if RECOMMENDED in facts and (draft / MODEL_CONFIG).is_file():
            config = read_json(draft, MODEL_CONFIG)
            write_json(draft / MODEL_CONFIG, {**config, RECOMMENDED: facts[RECOMMENDED]})
        if openvino is not None:
            for name in OPENVINO_FILES:
                shutil.copyfile(openvino.with_suffix(Path(name).suffix), draft / name)
        before = source.folder / MODEL_CARD
        parts = [before.read_text("utf-8").rstrip()] if before.is_file() else []
        (draft / MODEL_CARD).write_text("\n\n".join([*parts, card]), "utf-8")
        names = tuple(name for name in KNOWN_FILES if (draft / name).is_file())
        (draft / MANIFEST).write_bytes(build_manifest(draft, names, facts))
        return copy_package(draft, folder)
