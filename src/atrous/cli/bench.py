"""`atrous bench`: where the time of an answer goes, for one model on this machine."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from atrous.cli.model_argument import ModelArgument, find_package
from atrous.domain.errors import BadImage
from atrous.domain.geometry import Size

if TYPE_CHECKING:
    from atrous.runtime.segmenter import Segmenter

PHOTO_SIZE = Size(height=821, width=1232)  # of the picture that is drawn where none is given
WARM_UP_RUNS = 2
STAGES = ("decode", "preprocess", "network", "postprocess", "encode")


@dataclass(frozen=True)
class Figures:
    """The times of one stage, and its share of the whole."""

    median_ms: float
    p95_ms: float
    share: float  # of the median of the whole, 0..1


def bench_command(
    model: ModelArgument,
    image: Annotated[
        Path | None, typer.Argument(help="A picture file. Default: a drawn JPEG of 1232x821.")
    ] = None,
    runs: Annotated[int, typer.Option(min=1, help="Answers that are measured.")] = 20,
    engine: Annotated[
        Literal["auto", "openvino", "onnxruntime"], typer.Option(help="What runs the network.")
    ] = "auto",
    precision: Annotated[
        Literal["auto", "fp32", "bf16"], typer.Option(help="What it computes in.")
    ] = "auto",
    as_json: Annotated[
        bool, typer.Option("--json", help="All figures as JSON on standard output.")
    ] = False,
) -> None:
    """Measure the stages of an answer as the server gives it: decode, network, masks, encode.

    One request at a time, after two that are not counted. HTTP itself is not in it. With engine
    and precision left open, the fastest are found by the first run and kept, as by the server.

    \b
    Example:  atrous bench shapes/1
              atrous bench shapes/1 photo.jpg --runs 100 --precision fp32
    """
    from atrous.runtime.segmenter import Segmenter
    from atrous.store.home import Home, home_folder

    data = _read(image) if image else _drawn_photo()
    package = find_package(model)
    home = Home(home_folder())
    home.create()
    with Progress(console=Console(stderr=True), transient=True) as bar:
        loading = bar.add_task("loading", total=None)
        start = time.perf_counter()
        segmenter = Segmenter(package, engine=engine, precision=precision, cache_folder=home.cache)
        load_s = time.perf_counter() - start
        bar.remove_task(loading)
        task = bar.add_task("measuring", total=runs)
        for _ in range(WARM_UP_RUNS):
            size = _answer(segmenter, data)[1]
        laps = []
        for _ in range(runs):
            laps.append(_answer(segmenter, data)[0])
            bar.advance(task)
    report = {
        "model": model,
        **_circumstances(segmenter),
        "load_s": round(load_s, 3),
        "image": {"width": size.width, "height": size.height, "bytes": len(data)},
        "runs": runs,
        "stages": {name: asdict(figures) for name, figures in _figures(laps).items()},
    }
    segmenter.close()
    if as_json:
        print(json.dumps(report))
    else:
        _print_table(report)


def _read(image: Path) -> bytes:
    try:
        return image.read_bytes()
    except OSError as error:
        raise BadImage(f"{image} can't be read ({error.strerror}); give a picture file") from error


def _answer(segmenter: "Segmenter", data: bytes) -> tuple[dict[str, float], Size]:
    """Seconds of each stage of one answer, and of the whole; and the picture's size."""
    import orjson

    from atrous.images.decode import decode_image
    from atrous.server.inference.responses import segmentation_body

    seconds: dict[str, float] = {}

    @contextmanager
    def timed(stage: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        seconds[stage] = time.perf_counter() - start

    with timed("total"):
        with timed("decode"):
            image = decode_image(data)
        threshold = segmenter.package.default_confidence
        prediction = segmenter.predict(image, confidence=threshold, timed=timed)
        with timed("encode"):
            body = segmentation_body(
                prediction, segmenter.package.class_map, inference_id="", seconds=0.0
            )
            orjson.dumps(body)
    return seconds, Size(*image.shape[:2])


def _figures(laps: list[dict[str, float]]) -> dict[str, Figures]:
    """By stage; with several looks at the photo all that belongs to them counts as network."""
    import numpy as np

    stages = [name for name in (*STAGES, "total") if name in laps[0]]
    times = {name: 1000 * np.array([lap[name] for lap in laps]) for name in stages}
    whole = float(np.median(times["total"]))
    return {
        name: Figures(
            median_ms=round(float(np.median(values)), 2),
            p95_ms=round(float(np.percentile(values, 95)), 2),
            share=round(float(np.median(values)) / whole, 4),
        )
        for name, values in times.items()
    }


def _circumstances(segmenter: "Segmenter") -> dict[str, Any]:
    from atrous.runtime.process_memory import resident_bytes
    from atrous.runtime.processor import available_cores, processor_name

    return {
        "engine": segmenter.engine,
        "device": segmenter.device,
        "precision": segmenter.precision,
        "threads": segmenter.threads,
        "cores": available_cores(),
        "processor": processor_name(),
        "memory_bytes": resident_bytes(),
    }


def _drawn_photo() -> bytes:
    """Clouds and rectangles as a JPEG: the same bytes each time."""
    import numpy as np

    from atrous.images.draw import encode_jpeg
    from atrous.runtime.trial_pictures import trial_pictures

    drawn = trial_pictures(PHOTO_SIZE)[-1][0].transpose(1, 2, 0)
    return encode_jpeg(np.clip(128 + 64 * drawn, 0, 255).astype(np.uint8))


def _print_table(report: dict[str, Any]) -> None:
    console, image = Console(), report["image"]
    console.print(
        f"{report['model']}: {report['engine']} on {report['device']}, {report['precision']}, "
        f"{report['threads']} threads of {report['cores']} cores\n"
        f"{report['processor']}\n"
        f"picture {image['width']}x{image['height']}, {report['runs']} runs, "
        f"loaded in {report['load_s']:.1f} s",
        highlight=False,
        markup=False,
    )
    table = Table("stage", box=None, pad_edge=False)
    for heading in ("median ms", "p95 ms", "share"):
        table.add_column(heading, justify="right")
    for name, figures in report["stages"].items():
        median, p95, share = figures["median_ms"], figures["p95_ms"], figures["share"]
        table.add_row(name, f"{median:.1f}", f"{p95:.1f}", f"{share:.0%}")
    console.print(table)
