"""`manifest.json`: what atrous adds to a package: where it came from, and checksums."""

import hashlib
import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from atrous import __version__
from atrous.domain.errors import BadPackage

FILE_NAME = "manifest.json"
FORMAT = "atrous-model-package"
FORMAT_VERSION = 1
READ_BYTES = 1 << 20


def build_manifest(folder: Path, file_names: tuple[str, ...], facts: dict[str, Any]) -> bytes:
    """The manifest of the finished files of a package, as JSON text.

    facts: metrics, recipe, architecture and what else the maker of the package knows.
    """
    manifest = {
        **facts,
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "atrous_version": __version__,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "checksums": {name: sha256_of(folder / name) for name in file_names},
    }
    return json.dumps(manifest, indent=2, allow_nan=False).encode()


def verify_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """Compare every file with its checksum; BadPackage names the one that differs.

    The checksums find damage, not forgery: who can change a file can change them, too.
    """
    version = manifest.get("format_version")
    if version != FORMAT_VERSION:
        raise BadPackage(
            f"{FILE_NAME} has format_version {version!r}, this atrous reads {FORMAT_VERSION}; "
            "take the atrous that wrote it, or export the model again"
        )
    checksums = manifest.get("checksums")
    if not isinstance(checksums, dict) or not checksums:
        raise BadPackage(f"{FILE_NAME} has no checksums; export the model again")
    for name, expected in checksums.items():
        if Path(name).name != name or not (folder / name).is_file():
            raise BadPackage(f"{name!r} of {FILE_NAME} is missing; copy the whole package again")
        if sha256_of(folder / name) != expected:
            raise BadPackage(
                f"{name} is damaged: its SHA-256 is not the one in {FILE_NAME}; "
                "copy the package again or export the model again"
            )


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(READ_BYTES):
            digest.update(block)
    return digest.hexdigest()
