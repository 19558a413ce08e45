"""Measure SAM 2: networks against transformers in torch, clicks, many clients, memory.

python benchmarks/sam2_speed.py                           random weights; all, about 11 minutes
python benchmarks/sam2_speed.py --quick                   small counts: does it run at all?
python benchmarks/sam2_speed.py --checkpoint sam2.1_hiera_tiny.pt

Needs atrous[sam2] and a machine to itself. benchmarks/README.md says what the figures mean.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from sam2_memory import as_jpeg, measure_memory, turned_into_another
from sam2_server import Clicks, SamServer, click_body, clicks_at_once
from sam2_small_networks import ensure_small_package
from sam2_targets import judge
from sam2_weights import write_random_checkpoint
from serving.figures import paired_ratio, times_of
from serving.machine import machine_facts
from serving.photos import draw_photo
from serving.tables import target_table

from atrous.domain.geometry import Size
from atrous.domain.prompts import Point, Prompt
from atrous.export.sam2_checkpoint import read_sam2_checkpoint
from atrous.export.sam2_network import build_sam2_network
from atrous.jobs.sam2_add import add_sam2
from atrous.sam2.models import Sam2Package, find_package, installed
from atrous.sam2.photo_input import SIDE, prepare_photo
from atrous.sam2.segmenter import InteractiveSegmenter

PHOTO = Size(height=821, width=1232)
CLIENTS = 8
CROWD_TURNS, CROWD_S = 2, 4.0
EMBEDDING_BYTES = 8_400_000
QUICK = {"turns": 1, "photos": 24, "encoded": 4}
Sides = dict[str, Callable[[], object]]


def main() -> None:
    """Measure, print, write JSON after each part."""
    options = read_options()
    console = Console(width=120)  # also where the output goes to a file
    start = time.perf_counter()
    work = Path(options.work or tempfile.mkdtemp(prefix="atrous-sam2-")).absolute()
    results: dict[str, Any] = {"machine": machine_facts()}
    checkpoint = options.checkpoint or write_random_checkpoint(
        options.variant, work / "checkpoint" / "model.safetensors"
    )
    package = ensure_package(work / "home" / "sam2", options.variant, checkpoint)
    results["model"] = package.name
    results["weights"] = "random" if options.checkpoint is None else options.checkpoint.name
    for name, measure in (
        ("networks", lambda: measure_networks(package, checkpoint, work, options.turns)),
        ("http", lambda: measure_http(package, work, options.turns)),
        ("memory", lambda: measure_photos(package, work, options.photos, options.encoded)),
    ):
        results[name] = measure()
        console.print_json(data=results[name])
        targets = judge(results)
        results["goals"] = [asdict(target) for target in targets]
        results["seconds"] = round(time.perf_counter() - start)
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(results, indent=1) + "\n")
    console.print(target_table(targets))
    console.print(
        f"memory: {options.photos} different photos went through a server whose networks are a "
        f"few operations in SAM 2's shapes, and {options.encoded} through one with the real ones",
        highlight=False,
    )


def read_options() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--checkpoint", type=Path, help="official ones; else random weights")
    parser.add_argument("--variant", default="hiera_tiny")
    parser.add_argument("--turns", type=int, default=7, help="each side's turns, alternating")
    parser.add_argument("--photos", type=int, default=2000, help="through small networks; 0: none")
    parser.add_argument("--encoded", type=int, default=150, help="through the real ones; 0: none")
    parser.add_argument("--quick", action="store_true", help="few of everything")
    parser.add_argument("--work", type=Path, help="kept, to be used again")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "sam2.json")
    options = parser.parse_args()
    if options.quick:
        vars(options).update(QUICK)
    return options


def ensure_package(models: Path, variant: str, checkpoint: Path) -> Sam2Package:
    """The converted model, made where it is not there yet."""
    if any(package.variant == variant for package in installed(models)[0]):
        return find_package(models, variant)
    return add_sam2(models, variant, checkpoint=checkpoint)


def measure_networks(
    package: Sam2Package, checkpoint: Path, work: Path, turns: int
) -> dict[str, Any]:
    """Encoding and decoding in process, in turn with transformers in torch eager fp32."""
    torch_network: Any = build_sam2_network(package.variant, read_sam2_checkpoint(checkpoint))
    # The same folder as the servers', so that engines are tried once.
    segmenter = InteractiveSegmenter(package, cache_folder=work / "home" / "cache")
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
            turns,
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
    drawn = draw_photo(PHOTO)
    image = {"type": "base64", "value": as_jpeg(drawn)}
    variant = package.variant
    hundred = [{"points": [{"x": 12.0 * i, "y": 8.0 * i, "positive": True}]} for i in range(100)]
    with SamServer(work / "home", work / "server.log") as server:
        client = server.connect()

        def embed(name: str) -> dict[str, Any]:
            named = {"sam2_version_id": variant, "image_id": name}
            pixels = turned_into_another(drawn, len(name) + ord(name[-1]))
            sent = {"type": "base64", "value": as_jpeg(pixels)}
            client.post("/sam2/embed_image", {**named, "image": sent})
            return named

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
            turns,
            runs=1,
        )
        sent = alternate(
            {
                "singles": lambda: [with_photo([prompt])() for prompt in hundred[:25]],
                "hundred": with_photo(hundred),
            },
            turns,
            runs=1,
        )
        crowds = measure_crowds(server, embed)
        client.close()
    return {
        "click": asdict(times_of(click["click"])),
        "hundred_by_name": compared(many, "hundred", "singles"),
        "hundred_with_photo": compared(sent, "hundred", "singles"),
        **crowds,
    }


def measure_crowds(server: SamServer, embed: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
    """Eight clients clicking at once, on one photo and on one each, in turn with one alone."""
    own = [embed(f"photo {number}") for number in range(CLIENTS)]
    alone: list[Clicks] = []
    crowds: dict[str, list[Clicks]] = {"eight_on_one_photo": [], "eight_on_their_own": []}
    for _ in range(CROWD_TURNS):
        alone.append(clicks_at_once(server, own[:1], seconds=CROWD_S))
        for name, photos in (
            ("eight_on_one_photo", own[:1] * CLIENTS),
            ("eight_on_their_own", own),
        ):
            crowds[name].append(clicks_at_once(server, photos, seconds=CROWD_S))
    return {
        "one_client": [asdict(turn) for turn in alone],
        **{name: crowd_figures(turns, alone) for name, turns in crowds.items()},
    }


def crowd_figures(turns: list[Clicks], alone: list[Clicks]) -> dict[str, Any]:
    """How evenly a crowd was served, and how much longer each waited than alone; worst turn."""
    pairs = zip(turns, alone, strict=True)
    return {
        "slowest_over_fastest": max(turn.slowest_over_fastest for turn in turns),
        "median_over_alone": max(turn.median_ms / one.median_ms for turn, one in pairs),
        "turns": [asdict(turn) for turn in turns],
    }


def measure_photos(package: Sam2Package, work: Path, small: int, real: int) -> dict[str, Any]:
    """Memory of servers through which photos go that all differ; both at once, as no time counts.

    With the real networks a photo takes a second, so that only some go through them. Thousands
    go the same way through a server whose networks are a few operations of the same shapes:
    decoding, preprocessing, names, both tiers of embeddings and what they give up, masks, answers.
    """
    caches = {
        "SAM2_EMBEDDING_MEMORY_BYTES": str(12 * EMBEDDING_BYTES),
        "SAM2_EMBEDDING_DISK_BYTES": str(24 * EMBEDDING_BYTES),
    }
    ensure_small_package(work / "small" / "sam2", package.variant)

    def through(home: Path, photos: int) -> dict[str, Any]:
        with SamServer(home, home / "server.log", **caches) as server:
            return asdict(measure_memory(server, package.variant, photos, PHOTO))

    sides = {"small_networks": (work / "small", small), "real_networks": (work / "home", real)}
    with ThreadPoolExecutor(len(sides)) as pool:
        running = {name: pool.submit(through, *side) for name, side in sides.items() if side[1]}
        return {name: one.result() for name, one in running.items()}


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


if __name__ == "__main__":
    main()
