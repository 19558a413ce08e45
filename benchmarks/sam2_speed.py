"""Measure SAM 2: networks against transformers in torch, and clicks through a real server.

python benchmarks/sam2_speed.py                           random weights, about 5 minutes
python benchmarks/sam2_speed.py --checkpoint sam2.1_hiera_tiny.pt
python benchmarks/sam2_speed.py --photos 2000             also the memory over 2,000 photos

Needs atrous[sam2]. benchmarks/README.md says what the figures mean.
"""

import argparse
import base64
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from sam2_server import Clicks, SamServer, click_body, clicks_at_once
from sam2_weights import write_random_checkpoint
from serving.figures import paired_ratio, times_of
from serving.machine import machine_facts
from serving.photos import draw_photo, photo_file

from atrous.domain.geometry import Size
from atrous.domain.prompts import Point, Prompt
from atrous.export.sam2_checkpoint import read_sam2_checkpoint
from atrous.export.sam2_network import build_sam2_network
from atrous.jobs.sam2_add import add_sam2
from atrous.sam2.models import Sam2Package, find_package
from atrous.sam2.photo_input import SIDE, prepare_photo
from atrous.sam2.segmenter import InteractiveSegmenter

PHOTO = Size(height=821, width=1232)
CLIENTS = 8
LEAST_ENCODE, LEAST_DECODE, MOST_CLICK_MS, MOST_SINGLES = 2.0, 1.8, 45.0, 25
Sides = dict[str, Callable[[], object]]


def main() -> None:
    """Measure, print, write JSON."""
    options = read_options()
    console = Console()
    work = Path(options.work or tempfile.mkdtemp(prefix="atrous-sam2-")).absolute()
    checkpoint = options.checkpoint or write_random_checkpoint(
        options.variant, work / "checkpoint" / "model.safetensors"
    )
    package = ensure_package(work / "home" / "sam2", options.variant, checkpoint)
    results: dict[str, Any] = {"machine": machine_facts(), "model": package.name}
    results["networks"] = measure_networks(package, checkpoint, work, options.turns)
    console.print_json(data=results["networks"])
    results["http"] = measure_http(package, work, options.turns)
    console.print_json(data=results["http"])
    if options.photos:
        results["memory"] = measure_memory(package, work, options.photos)
        console.print_json(data=results["memory"])
    results["judged"] = judge(results)
    for name, (holds, words) in results["judged"].items():
        console.print(f"{'holds' if holds else 'DOES NOT HOLD'}: {name}: {words}")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(results, indent=2))


def read_options() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--checkpoint", type=Path, help="official ones; else random weights")
    parser.add_argument("--variant", default="hiera_tiny")
    parser.add_argument("--turns", type=int, default=7, help="each side's turns, alternating")
    parser.add_argument("--photos", type=int, default=0, help="for the memory; 0: left out")
    parser.add_argument("--work", type=Path, help="kept, to be used again")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "sam2.json")
    return parser.parse_args()


def ensure_package(models: Path, variant: str, checkpoint: Path) -> Sam2Package:
    """The converted model, made where it is not there yet."""
    if models.is_dir():
        return find_package(models, variant)
    return add_sam2(models, variant, checkpoint=checkpoint)


def measure_networks(
    package: Sam2Package, checkpoint: Path, work: Path, turns: int
) -> dict[str, Any]:
    """Encoding and decoding in process, in turn with transformers in torch eager fp32."""
    torch_network: Any = build_sam2_network(package.variant, read_sam2_checkpoint(checkpoint))
    segmenter = InteractiveSegmenter(package, cache_folder=work / "cache")
    photo = draw_photo(PHOTO)
    prepared = torch.from_numpy(prepare_photo(photo))
    embedding = segmenter.embed(photo)
    point = Point(500.0, 375.0, positive=True)
    click = [Prompt(points=(point,))]
    scale = (SIDE / PHOTO.width, SIDE / PHOTO.height)
    coords = torch.tensor([[[[point.x * scale[0], point.y * scale[1]]]]])
    labels = torch.ones(1, 1, 1, dtype=torch.int64)
    with torch.no_grad():
        features = torch_network.get_image_embeddings(prepared)

        def torch_decode() -> object:
            return torch_network(
                image_embeddings=features,
                input_points=coords,
                input_labels=labels,
                multimask_output=True,
            )

        encode = alternate(
            {
                "torch": lambda: torch_network.get_image_embeddings(prepared),
                "atrous": lambda: segmenter.embed(photo),
            },
            turns,
            runs=1,
        )
        decode = alternate(
            {
                "torch": torch_decode,
                "atrous": lambda: segmenter.segment(embedding, click, multimask=True),
            },
            turns,
            runs=10,
        )
        hundred = [Prompt(points=(Point(12.0 * i, 8.0 * i, positive=True),)) for i in range(100)]
        many = alternate(
            {
                "singles": lambda: [
                    segmenter.segment(embedding, [one], multimask=True) for one in hundred[:25]
                ],
                "hundred": lambda: segmenter.segment(embedding, hundred, multimask=True),
            },
            max(2, turns // 2),
            runs=1,
        )
    report = asdict(segmenter.report)
    segmenter.close()
    return {
        "choice": report,
        "encode": compared(encode, "torch", "atrous"),
        "decode": compared(decode, "torch", "atrous"),
        "hundred_in_one_call_against_25_calls": compared(many, "hundred", "singles"),
    }


def measure_http(package: Sam2Package, work: Path, turns: int) -> dict[str, Any]:
    """Clicks on an embedded photo through a server, one client and eight, and many at once."""
    photo = base64.b64encode(photo_file(work, PHOTO).read_bytes()).decode()
    image = {"type": "base64", "value": photo}
    variant = package.variant
    hundred = [{"points": [{"x": 12.0 * i, "y": 8.0 * i, "positive": True}]} for i in range(100)]
    with SamServer(work / "home", work / "server.log") as server:
        client = server.connect()
        named = {"sam2_version_id": variant, "image_id": "photo"}
        client.post("/sam2/embed_image", {**named, "image": image})
        single = click_body(named, 0)

        def by_name(body: dict[str, Any]) -> Callable[[], object]:
            return lambda: client.post("/sam2/segment_image", body)

        def with_photo(prompts: list[Any]) -> Callable[[], object]:
            body = {"sam2_version_id": variant, "image": image, "prompts": prompts}
            return by_name(body)

        by_name(single)()  # the first of a shape allocates
        click = alternate({"click": by_name(single)}, turns, runs=20)
        in_one = by_name({**named, "prompts": hundred})
        many = alternate(
            {
                "singles": lambda: [by_name(click_body(named, i))() for i in range(25)],
                "hundred": in_one,
            },
            max(2, turns // 2),
            runs=1,
        )
        sent = alternate(
            {
                "singles": lambda: [with_photo([prompt])() for prompt in hundred[:25]],
                "hundred": with_photo(hundred),
            },
            max(2, turns // 2),
            runs=1,
        )
        eight: Clicks = clicks_at_once(server, CLIENTS, named, seconds=8.0)
        client.close()
    return {
        "click": asdict(times_of(click["click"])),
        "hundred_in_one_request_against_25": compared(many, "hundred", "singles"),
        "the_same_each_with_the_photo": compared(sent, "hundred", "singles"),
        "eight_clients": asdict(eight),
    }


def measure_memory(package: Sam2Package, work: Path, photos: int) -> dict[str, Any]:
    """Resident memory of a server while photos that differ are embedded and clicked."""
    marks: list[tuple[int, float | None]] = []
    small = draw_photo(Size(240, 320))
    with SamServer(work / "home", work / "server.log", embedding_bytes=200_000_000) as server:
        client = server.connect()
        for index in range(photos):
            small[0, 0] = [index % 256, index // 256 % 256, 7]
            client.post(
                "/sam2/segment_image",
                {
                    "sam2_version_id": package.variant,
                    "image": {"type": "base64", "value": as_png(small)},
                    "prompts": [{"points": [{"x": 100.0, "y": 100.0, "positive": True}]}],
                },
            )
            if index in (photos // 10, photos // 2, photos - 1):
                marks.append((index + 1, server.resident_mib()))
        client.close()
    return {"photos_and_resident_mib": marks}


def as_png(pixels: np.ndarray) -> str:
    """Base64 of a PNG, which keeps every pixel."""
    import cv2

    encoded, data = cv2.imencode(".png", pixels[:, :, ::-1])
    assert encoded
    return base64.b64encode(data.tobytes()).decode()


def alternate(sides: Sides, turns: int, *, runs: int) -> dict[str, list[list[float]]]:
    """Seconds of each side's runs, turn by turn, after one to warm up."""
    seconds: dict[str, list[list[float]]] = {name: [] for name in sides}
    for turn in range(turns + 1):
        for name, run in sides.items():
            block = []
            for _ in range(runs):
                start = time.perf_counter()
                run()
                block.append(time.perf_counter() - start)
            if turn:
                seconds[name].append(block)
    return seconds


def compared(seconds: dict[str, list[list[float]]], slower: str, faster: str) -> dict[str, Any]:
    """Times of both sides, and how many times longer the first takes."""
    return {
        **{name: asdict(times_of(blocks)) for name, blocks in seconds.items()},
        f"{slower}_over_{faster}": paired_ratio(seconds[slower], seconds[faster]),
    }


def judge(results: dict[str, Any]) -> dict[str, tuple[bool, str]]:
    """Each aim, and whether it was reached."""
    networks, http = results["networks"], results["http"]
    encode = networks["encode"]["torch_over_atrous"]
    decode = networks["decode"]["torch_over_atrous"]
    click = http["click"]["median_ms"]
    many = http["hundred_in_one_request_against_25"]["hundred_over_singles"]
    sent = http["the_same_each_with_the_photo"]["hundred_over_singles"]
    return {
        "encode": (encode >= LEAST_ENCODE, f"{encode:.2f} times torch, aim {LEAST_ENCODE}"),
        "decode": (decode >= LEAST_DECODE, f"{decode:.2f} times torch, aim {LEAST_DECODE}"),
        "click": (click <= MOST_CLICK_MS, f"{click:.0f} ms over HTTP, aim {MOST_CLICK_MS:.0f}"),
        "hundred by name": (many < 1, f"{MOST_SINGLES * many:.0f} singles, aim {MOST_SINGLES}"),
        "hundred with photo": (sent < 1, f"{MOST_SINGLES * sent:.0f} singles, aim {MOST_SINGLES}"),
    }


if __name__ == "__main__":
    main()
