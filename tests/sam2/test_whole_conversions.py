"""Every size and version of SAM 2, from a checkpoint of full size to masks as the official ones.

They take minutes and gigabytes, so they run where ATROUS_WHOLE_SAM2 is set; `hiera_tiny` of 2.1
goes the same way in every run, in tests/conftest.py and test_segmenter.py. The figures that
docs/sam2.md has are logged: pytest --log-cli-level INFO.
"""

import hashlib
import logging
import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from atrous.domain.prompts import Point, Prompt, PromptBox
from atrous.export.sam2_checkpoint import read_sam2_checkpoint
from atrous.jobs.sam2_add import add_sam2
from atrous.sam2.models import Sam2Package, find_package
from atrous.sam2.official_checkpoints import OFFICIAL
from atrous.sam2.photo_masks import restore_mask
from atrous.sam2.segmenter import InteractiveSegmenter

logger = logging.getLogger(__name__)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not os.environ.get("ATROUS_WHOLE_SAM2"), reason="ATROUS_WHOLE_SAM2 is not set: minutes"
    ),
]
# Where each comes from: all ways are walked.
WAYS = {
    ("hiera_tiny", "2.0"): "hub",
    ("hiera_small", "2.0"): "pt",
    ("hiera_small", "2.1"): "safetensors",
    ("hiera_b_plus", "2.0"): "folder",
    ("hiera_b_plus", "2.1"): "pt",
    ("hiera_large", "2.0"): "safetensors",
    ("hiera_large", "2.1"): "pt",
}
PHOTO = (333, 217)
CLICK, OTHER = Point(87.0, 183.0, positive=True), Point(152.0, 66.0, positive=False)
PROMPTS = (
    Prompt(points=(CLICK,)),
    Prompt(points=(CLICK, OTHER)),
    Prompt(box=PromptBox(40.0, 100.0, 130.0, 250.0)),
    Prompt(points=(CLICK, OTHER), box=PromptBox(40.0, 100.0, 130.0, 250.0)),
)


@pytest.mark.parametrize(("variant", "version"), list(WAYS))
def test_checkpoint_to_masks(
    variant: str,
    version: str,
    official_sam2: ModuleType,
    serve_file: Callable[[Path], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network = official_sam2.build_network(variant, version)
    meta = tmp_path / OFFICIAL[variant, version].file_name
    official_sam2.save_meta(network, meta)
    if WAYS[variant, version] == "hub":
        package = fetch_and_add(meta, variant, version, serve_file, tmp_path, monkeypatch)
    else:
        source = laid_out(WAYS[variant, version], meta, version, official_sam2, tmp_path)
        package = add_by_command(source, variant, version, tmp_path / "home")
    assert (package.variant, package.version) == (variant, version)
    insist_on_official_masks(package, official_sam2, network)


def laid_out(way: str, meta: Path, version: str, official_sam2: ModuleType, folder: Path) -> Path:
    """The checkpoint as it may lie on a disk: Meta's file, or the hub's, or a folder with it."""
    if way == "pt":
        return meta
    official_sam2.save_hub(read_sam2_checkpoint(meta).tensors, folder / "hub", version)
    return folder / "hub" if way == "folder" else folder / "hub" / "model.safetensors"


def add_by_command(source: Path, variant: str, version: str, home: Path) -> Sam2Package:
    """`atrous sam2 add --checkpoint`, in a process of its own, whose time and memory are told."""
    arguments = ["sam2", "add", variant, "--version", version, "--checkpoint", str(source)]
    command = [sys.executable, "-m", "atrous", *arguments]
    start = time.perf_counter()
    child = os.posix_spawn(command[0], command, {**os.environ, "ATROUS_HOME": str(home)})
    _, status, used = os.wait4(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    package = find_package(home / "sam2", variant, version)
    logger.info(
        "%s: %.0f s, %.0f s of processor time, %.0f MiB at most, encoder %.0f MB, %s",
        package.name,
        time.perf_counter() - start,
        used.ru_utime + used.ru_stime,
        used.ru_maxrss / 1024,
        package.encoder.stat().st_size / 1e6,
        package.manifest["parity"],
    )
    return package


def fetch_and_add(
    meta: Path,
    variant: str,
    version: str,
    serve_file: Callable[[Path], str],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Sam2Package:
    """From a hub on this machine, whose file is taken for Meta's by its SHA-256."""
    published = replace(
        OFFICIAL[variant, version],
        size_bytes=meta.stat().st_size,
        sha256=hashlib.sha256(meta.read_bytes()).hexdigest(),
    )
    monkeypatch.setitem(OFFICIAL, (variant, version), published)
    monkeypatch.setenv("HF_ENDPOINT", serve_file(meta))
    package = add_sam2(folder / "models", variant, version=version)
    assert package.manifest["checkpoint"]["official"]
    return package


def insist_on_official_masks(package: Sam2Package, official_sam2: ModuleType, network: Any) -> None:
    """Points, boxes, both; three masks and one: the bars of test_segmenter.py."""
    photo = official_sam2.photo(*PHOTO, seed=3)
    predictor = official_sam2.predictor(network)
    predictor.set_image(photo)
    segmenter = InteractiveSegmenter(
        package, engine="openvino", precision="fp32", embeddings="float32"
    )
    embedding = segmenter.embed(photo)
    worst = np.zeros(3)
    for multimask in (True, False):
        answers = segmenter.segment(embedding, PROMPTS, multimask=multimask)
        for prompt, given in zip(PROMPTS, answers, strict=True):
            points = np.array([[point.x, point.y] for point in prompt.points], np.float32)
            labels = np.array([point.positive for point in prompt.points])
            box = prompt.box
            masks, scores, logits = predictor.predict(
                point_coords=points if len(points) else None,
                point_labels=labels if len(points) else None,
                box=None if box is None else np.array([box.left, box.top, box.right, box.bottom]),
                multimask_output=multimask,
            )
            restored = [restore_mask(one, embedding.photo_size) for one in given.low_res_logits]
            differences = (
                np.abs(given.clamped_logits - logits).max(),
                np.abs(given.predicted_iou - scores).max(),
                np.mean(np.stack(restored) != masks.astype(bool)),
            )
            worst = np.maximum(worst, differences)
    segmenter.close()
    logger.info("%s: off by %.1e (logits), %.1e (IoU), %.1e (pixels)", package.name, *worst)
    assert (worst <= [1e-4, 1e-5, 1e-4]).all(), worst
