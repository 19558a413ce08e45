"""A SAM 2 model for serving: fetched or taken from disk, converted, compared, stored."""

import tempfile
from collections.abc import Callable
from pathlib import Path

from atrous.domain.errors import BadInput, Conflict
from atrous.export.sam2_checkpoint import checkpoint_file
from atrous.export.sam2_package import convert_sam2
from atrous.packages.manifest import sha256_of
from atrous.sam2.models import MANIFEST, VARIANTS, VERSIONS, Sam2Package, write_sam2_package
from atrous.sam2.official_checkpoints import OFFICIAL, Source, fetch_checkpoint

NEWEST = VERSIONS[-1]


def add_sam2(
    models_folder: Path,
    variant: str,
    *,
    version: str | None = None,
    checkpoint: Path | None = None,
    source: Source = "hub",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Sam2Package:
    """Make a model ready to serve, in its own folder under `models_folder`.

    version: "2.0" or "2.1"; None: the newest, or what the checkpoint is.
    checkpoint: a `.pt` or `.safetensors` file, or a folder with one; None: it is fetched.
    progress: of fetching: is told bytes that came and bytes in all.
    Raises Conflict where the model is there already; nothing is left behind on any failure.
    """
    if variant not in VARIANTS or version not in (None, *VERSIONS):
        raise BadInput(
            f"SAM {version or 2} {variant[:100]} is not known; sizes are {', '.join(VARIANTS)}, "
            f"versions {' and '.join(VERSIONS)}"
        )
    if checkpoint is None:
        version = version or NEWEST
    if version is not None:
        _refuse_second(models_folder, variant, version)
    models_folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".adding-", dir=models_folder) as scratch:
        if checkpoint is None:
            official = OFFICIAL[variant, version or NEWEST]
            path = fetch_checkpoint(official, Path(scratch), source=source, progress=progress)
        else:
            path = checkpoint_file(checkpoint)
        converted = convert_sam2(path, variant, Path(scratch), version)
        _refuse_second(models_folder, variant, converted.version)
        digest = sha256_of(path)
        known = OFFICIAL[variant, converted.version].sha256
        origin = {"file": path.name, "sha256": digest, "official": digest == known}
        return write_sam2_package(
            models_folder / f"{variant}-{converted.version}",
            encoder=converted.encoder,
            decoder=converted.decoder,
            for_many=converted.for_many,
            variant=variant,
            version=converted.version,
            facts={**converted.facts, "checkpoint": origin},
        )


def _refuse_second(models_folder: Path, variant: str, version: str) -> None:
    folder = models_folder / f"{variant}-{version}"
    if (folder / MANIFEST).exists():
        raise Conflict(
            f"{folder} exists already; to convert the model again: "
            f"atrous sam2 remove {variant}-{version}"
        )
