"""The checkpoints that Meta published, and how they are fetched: by size and SHA-256."""

import hashlib
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import httpx

from atrous.domain.errors import BadInput, NotFound

Source = Literal["hub", "meta"]
HUB_VARIABLE = "HF_ENDPOINT"  # as huggingface_hub reads it: a mirror of the hub
HUB = "https://huggingface.co"
META = "https://dl.fbaipublicfiles.com/segment_anything_2"
TIMEOUT = httpx.Timeout(30.0)  # without an answer or a byte
BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class OfficialCheckpoint:
    """One file, the same on the Hugging Face hub and on Meta's server."""

    file_name: str
    hub_repository: str
    meta_folder: str
    size_bytes: int
    sha256: str

    def url(self, source: Source) -> str:
        """Where it lies."""
        if source == "meta":
            return f"{META}/{self.meta_folder}/{self.file_name}"
        hub = (os.environ.get(HUB_VARIABLE) or HUB).rstrip("/")
        return f"{hub}/{self.hub_repository}/resolve/main/{self.file_name}"


def _official(version: str, size: str, size_bytes: int, sha256: str) -> OfficialCheckpoint:
    sam = "sam2" if version == "2.0" else f"sam{version}"
    return OfficialCheckpoint(
        file_name=f"{sam}_hiera_{size}.pt",
        hub_repository=f"facebook/{sam}-hiera-{size.replace('_', '-')}",
        meta_folder="072824" if version == "2.0" else "092824",
        size_bytes=size_bytes,
        sha256=sha256,
    )


# fmt: off
OFFICIAL = {
    ("hiera_tiny", "2.0"): _official("2.0", "tiny", 155906050, "65b50056e05bcb13694174f51bb6da89c894b57b75ccdf0ba6352c597c5d1125"),  # noqa: E501
    ("hiera_small", "2.0"): _official("2.0", "small", 184309650, "95949964d4e548409021d47b22712d5f1abf2564cc0c3c765ba599a24ac7dce3"),  # noqa: E501
    ("hiera_b_plus", "2.0"): _official("2.0", "base_plus", 323493298, "d0bb7f236400a49669ffdd1be617959a8b1d1065081789d7bbff88eded3a8071"),  # noqa: E501
    ("hiera_large", "2.0"): _official("2.0", "large", 897952466, "7442e4e9b732a508f80e141e7c2913437a3610ee0c77381a66658c3a445df87b"),  # noqa: E501
    ("hiera_tiny", "2.1"): _official("2.1", "tiny", 156008466, "7402e0d864fa82708a20fbd15bc84245c2f26dff0eb43a4b5b93452deb34be69"),  # noqa: E501
    ("hiera_small", "2.1"): _official("2.1", "small", 184416285, "6d1aa6f30de5c92224f8172114de081d104bbd23dd9dc5c58996f0cad5dc4d38"),  # noqa: E501
    ("hiera_b_plus", "2.1"): _official("2.1", "base_plus", 323606802, "a2345aede8715ab1d5d31b4a509fb160c5a4af1970f199d9054ccfb746c004c5"),  # noqa: E501
    ("hiera_large", "2.1"): _official("2.1", "large", 898083611, "2647878d5dfa5098f2f8649825738a9345572bae2d4350a2468587ece47dd318"),  # noqa: E501
}
# fmt: on


def fetch_checkpoint(
    checkpoint: OfficialCheckpoint,
    folder: Path,
    *,
    source: Source = "hub",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Path:
    """Download a checkpoint into `folder`; the file is there, verified, or not at all.

    progress: is told bytes that came and bytes in all.
    Raises NotFound where it can't be fetched, BadInput where something else came.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / checkpoint.file_name
    url = checkpoint.url(source)
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".download-", delete=False) as file:
        unfinished = Path(file.name)
    try:
        sha256 = _download(url, unfinished, checkpoint.size_bytes, progress)
        if sha256 != checkpoint.sha256:
            raise BadInput(
                f"{url} gave a file with SHA-256 {sha256}, expected {checkpoint.sha256}; it was "
                "not kept: try again, or fetch it yourself and give it with --checkpoint"
            )
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)
    return target


def _download(url: str, target: Path, size_bytes: int, progress: Callable[[int, int], None]) -> str:
    """Write what the URL gives, at most `size_bytes`, and give its SHA-256."""
    digest = hashlib.sha256()
    came = 0
    try:
        with (
            target.open("wb") as file,
            httpx.stream("GET", url, follow_redirects=True, timeout=TIMEOUT) as answer,
        ):
            answer.raise_for_status()
            for block in answer.iter_bytes(BLOCK_BYTES):
                came += len(block)
                if came > size_bytes:
                    break
                file.write(block)
                digest.update(block)
                progress(came, size_bytes)
    except httpx.HTTPError as error:
        raise NotFound(
            f"{url} can't be fetched ({str(error).splitlines()[0] if str(error) else error!r}); "
            "try --source meta or --source hub, or fetch it yourself and give it with --checkpoint"
        ) from error
    if came != size_bytes:
        words = "more" if came > size_bytes else f"{came}"
        raise BadInput(f"{url} gave {words} bytes, expected {size_bytes}; try again")
    return digest.hexdigest()
