"""Converted SAM 2 models: one folder each, read, found and written as a whole."""

import hashlib
import json
import logging
import re
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product, zip_longest
from pathlib import Path
from typing import Any

from atrous.disk.whole import flush
from atrous.domain.errors import BadPackage, Conflict, NotFound
from atrous.packages.manifest import build_manifest, sha256_of

logger = logging.getLogger(__name__)

VARIANTS = ("hiera_tiny", "hiera_small", "hiera_b_plus", "hiera_large")
VERSIONS = ("2.0", "2.1")
ENCODER, DECODER, MANIFEST = "encoder.onnx", "decoder.onnx", "manifest.json"
# All or none: `many_prompts` says what they do.
FOR_MANY = ("photo_terms.onnx", *(f"prompt_tokens_{stage}.onnx" for stage in (1, 2, 3, 4)))
KIND = "sam2"
NAME = re.compile(r"(?P<variant>.*?)(-(?P<version>\d\.\d))?")


@dataclass(frozen=True)
class Sam2Package:
    """A folder with encoder.onnx, decoder.onnx and manifest.json.

    Since many prompts about a photo have networks of their own, there are five more; models that
    were converted before answer them with the decoder.
    """

    folder: Path
    variant: str  # one of VARIANTS
    version: str  # one of VERSIONS
    manifest: dict[str, Any]

    @property
    def name(self) -> str:
        """As its folder is called: `hiera_tiny-2.1`."""
        return f"{self.variant}-{self.version}"

    @property
    def encoder(self) -> Path:
        """Photo -> embedding."""
        return self.folder / ENCODER

    @property
    def decoder(self) -> Path:
        """Embedding and prompts -> masks."""
        return self.folder / DECODER

    @property
    def for_many(self) -> tuple[Path, ...] | None:
        """Embedding -> what prompts have in common, and the stages of the prompts' tokens."""
        if not set(FOR_MANY) <= set(self.manifest.get("checksums", {})):
            return None
        return tuple(self.folder / name for name in FOR_MANY)

    @property
    def identity(self) -> str:
        """Tells the weights apart: embeddings of one encoder are no use to another."""
        return str(self.manifest["checksums"][ENCODER])

    @property
    def networks_digest(self) -> str:
        """Tells all networks apart."""
        checksums = json.dumps(self.manifest["checksums"], sort_keys=True)
        return hashlib.sha256(checksums.encode()).hexdigest()


def read_sam2_package(folder: Path, *, verify: bool = True) -> Sam2Package:
    """Read a converted model; BadPackage says what is missing, damaged or unknown.

    verify: compare the networks with their checksums, 0.1 s for the smallest model.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise BadPackage(
            f"{folder} has no readable {MANIFEST} ({error}); convert the model again: "
            "atrous sam2 add"
        ) from error
    if not isinstance(manifest, dict) or manifest.get("kind") != KIND:
        raise BadPackage(f"{folder} holds no SAM 2 model; add one with: atrous sam2 add hiera_tiny")
    variant, version = manifest.get("variant"), manifest.get("version")
    if variant not in VARIANTS or version not in VERSIONS:
        raise BadPackage(
            f"{folder} holds variant {variant!r} of SAM {version!r}; expected one of "
            f"{', '.join(VARIANTS)} of {' or '.join(VERSIONS)}"
        )
    checksums = manifest.get("checksums")
    known = checksums if isinstance(checksums, dict) else {}
    for name in (ENCODER, DECODER, *(FOR_MANY if set(FOR_MANY[1:]) & set(known) else ())):
        if name not in known:
            raise BadPackage(f"{MANIFEST} of {folder} has no checksum of {name}; convert it again")
        if not (folder / name).is_file():
            raise BadPackage(f"{folder} has no {name}; convert it again: atrous sam2 add {variant}")
        if verify and sha256_of(folder / name) != known[name]:
            raise BadPackage(
                f"{name} of {folder} is damaged: its SHA-256 is not the one in {MANIFEST}; "
                f"remove the folder and convert it again: atrous sam2 add {variant}"
            )
    return Sam2Package(folder, variant, version, manifest)


def installed(store_folder: Path) -> tuple[list[Sam2Package], list[BadPackage]]:
    """The models in a folder, by size and version, not verified; and what is wrong with others."""
    packages, damaged = [], []
    for variant, version in product(VARIANTS, VERSIONS):
        folder = store_folder / f"{variant}-{version}"
        if (folder / MANIFEST).is_file():
            try:
                packages.append(read_sam2_package(folder, verify=False))
            except BadPackage as error:
                damaged.append(error)
    return packages, damaged


def find_package(store_folder: Path, variant: str, version: str | None = None) -> Sam2Package:
    """A model by its size, and its version or the newest one there that is whole; verified.

    Raises NotFound with the command that adds it, and BadPackage where none is whole.
    """
    if variant not in VARIANTS or version not in (None, *VERSIONS):
        raise NotFound(
            f"SAM {version or 2} has no size {variant[:100]!r}; there are {', '.join(VARIANTS)}"
        )
    candidates = (version,) if version else tuple(reversed(VERSIONS))
    folders = [store_folder / f"{variant}-{candidate}" for candidate in candidates]
    there = [folder for folder in folders if (folder / MANIFEST).is_file()]
    for folder, older in zip_longest(there, there[1:]):
        try:
            return read_sam2_package(folder)
        except BadPackage as error:
            if older is None:
                raise
            logger.error("%s; %s is served instead", error, older.name)
    exactly = f" --version {version}" if version else ""
    raise NotFound(
        f"the SAM 2 model {variant}{'-' + version if version else ''} is not installed; "
        f"run on the server: atrous sam2 add {variant}{exactly}"
    )


def find_by_name(store_folder: Path, name: str) -> Sam2Package:
    """A model as requests name it: `hiera_tiny`, the newest one there, or `hiera_tiny-2.0`."""
    return find_package(store_folder, *_parts_of(name))


def state_of(store_folder: Path, name: str) -> tuple[str, int, int] | None:
    """What changes when another model is to be loaded under a name; None where there is none.

    That is when a newer version was added, or this one converted anew. Two looks at the disk.
    """
    variant, version = _parts_of(name)
    if variant not in VARIANTS or version not in (None, *VERSIONS):
        return None
    for candidate in (version,) if version else reversed(VERSIONS):
        try:
            facts = (store_folder / f"{variant}-{candidate}" / MANIFEST).stat()
        except FileNotFoundError:
            continue
        return f"{variant}-{candidate}", facts.st_ino, facts.st_mtime_ns
    return None


def _parts_of(name: str) -> tuple[str, str | None]:
    named = NAME.fullmatch(name)
    return (named["variant"], named["version"]) if named else (name, None)


def remove_package(store_folder: Path, name: str) -> None:
    """Remove a model by its name, as `hiera_tiny-2.1`; NotFound where it is not there."""
    known = [f"{variant}-{version}" for variant in VARIANTS for version in VERSIONS]
    if name not in known or not (store_folder / name).is_dir():
        raise NotFound(
            f"there is no SAM 2 model {name[:100]!r}; see which there are: atrous sam2 list"
        )
    # The manifest goes first: without it, what a crash leaves behind is no model.
    (store_folder / name / MANIFEST).unlink(missing_ok=True)
    shutil.rmtree(store_folder / name)


def write_sam2_package(
    folder: Path,
    *,
    encoder: Path,
    decoder: Path,
    variant: str,
    version: str,
    facts: dict[str, Any],
    for_many: Sequence[Path] | None = None,
) -> Sam2Package:
    """Write a model to `folder`, which is complete or absent also after a crash.

    for_many: see `Sam2Package.for_many`.
    facts: JSON values for the manifest: where the weights came from, parity.
    Raises Conflict where it exists.
    """
    if (folder / MANIFEST).exists():
        raise Conflict(f"{folder} exists already; remove it first to convert the model again")
    shutil.rmtree(folder, ignore_errors=True)  # what an interrupted removal left
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        networks = {ENCODER: encoder, DECODER: decoder}
        if for_many is not None:
            networks |= dict(zip(FOR_MANY, for_many, strict=True))
        for name, source in networks.items():
            shutil.copyfile(source, unfinished / name)
        manifest = {**facts, "kind": KIND, "variant": variant, "version": version}
        (unfinished / MANIFEST).write_bytes(build_manifest(unfinished, tuple(networks), manifest))
        read_sam2_package(unfinished)  # nothing that can't be read gets the final name
        unfinished.chmod(0o755)  # mkdtemp lets the owner alone in
        for path in (*unfinished.iterdir(), unfinished):
            flush(path)
        unfinished.rename(folder)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    flush(folder.parent)
    return read_sam2_package(folder, verify=False)
