"""What a training or an evaluation leaves behind: figures, pictures, one page with all of it."""

import csv
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from atrous.disk.whole import write_whole
from atrous.images.draw import encode_png
from atrous.jobs.evaluate import Evaluation
from atrous.reports.canvas import PIXELS, SECOND
from atrous.reports.charts import (
    Bar,
    Series,
    calibration_chart,
    class_bars,
    confusion_matrix,
    curves,
)
from atrous.reports.charts import Picture as Pixels
from atrous.reports.html_page import Picture, Section, Table, Tile, html_page, shown

REPORT = "report.html"
TO_SHARE = "report-without-photos.html"
METRICS = "metrics.json"
PICTURES = "pictures"
CLASS_FIGURES = ("iou", "precision", "recall", "f1", "boundary_iou", "best_threshold", "pixels")


def write_artefacts(
    folder: Path,
    title: str,
    subtitle: str,
    evaluations: Sequence[Evaluation],
    *,
    results: Path | None = None,
    choices: Mapping[str, Any] | None = None,
) -> Path:
    """Write metrics.json, pictures/ and report.html into a folder; gives the page's path.

    A second page shows no photo and names none, for people who may not see them.

    results: the results.csv of a training, for its curves.
    choices: of a recipe, by name, as JSON values.
    """
    pictures = folder / PICTURES
    pictures.mkdir(parents=True, exist_ok=True)
    figures = {evaluation.split: evaluation.as_json() for evaluation in evaluations}
    write_whole(folder / METRICS, json.dumps(figures, indent=2, allow_nan=False).encode())
    sections = []
    if results is not None and results.exists():
        sections.append(_training(results, pictures))
    for evaluation in evaluations:
        sections += _sections_of(evaluation, pictures)
    if choices:
        rows = [(name, shown(value)) for name, value in choices.items()]
        sections.append(Section("Recipe", table=Table(("choice", "value"), rows, False)))
    to_share = [section for section in sections if not section.is_of_photos]
    for name, contents in ((REPORT, sections), (TO_SHARE, to_share)):
        write_whole(folder / name, html_page(title, subtitle, contents).encode())
    return folder / REPORT


def read_results(results: Path) -> dict[str, list[float | None]]:
    """The columns of a results.csv; None for an empty cell."""
    with results.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {
        name: [float(row[name]) if row[name] else None for row in rows]
        for name in (rows[0] if rows else ())
    }


def _training(results: Path, pictures: Path) -> Section:
    columns = read_results(results)
    loss = [Series("mean of the epoch", columns["train_loss"])]
    reached = [
        Series("mIoU", columns["valid_miou"]),
        Series("pixel accuracy", columns["valid_pixel_accuracy"], SECOND),
    ]
    chart = curves([("Training loss", loss), ("Validation", reached)])
    return Section("Training", charts=[_chart(chart, pictures / "curves.png", "by epoch")])


def _sections_of(evaluation: Evaluation, pictures: Path) -> list[Section]:
    split = evaluation.split
    found = [
        Picture(example.file, f"{example.rank}: {example.name}, mIoU {shown(example.miou)}")
        for example in evaluation.examples
    ]
    for older in pictures.glob(f"{split}-*.jpg"):
        older.unlink()
    for index, example in enumerate(evaluation.examples):
        name = f"{split}-{index + 1}-{example.rank}-{_file_name(example.name)}.jpg"
        write_whole(pictures / name, example.file)
    sections = [
        Section(
            f"Figures on {split}",
            note=f"{evaluation.photos} photos, each at its own size, predicted by "
            f"{evaluation.engine} in {evaluation.precision}; counts over all pixels of all photos.",
            tiles=_tiles(evaluation.report),
            table=_class_table(evaluation.report),
        ),
        Section(f"Charts of {split}", charts=_charts(evaluation, pictures)),
    ]
    if found:
        note = "Photo, truth, prediction, error (red: wrong, grey: not labelled)."
        photos = Section(f"Photos of {split}", note=note, photos=found, is_of_photos=True)
        sections.append(photos)
    worst = [(photo["name"], shown(photo["miou"])) for photo in evaluation.report["worst_photos"]]
    table = Table(("photo", "mIoU of the photo"), worst)
    sections.append(Section(f"Worst photos of {split}", table=table, is_of_photos=True))
    return sections


def _tiles(report: Mapping[str, Any]) -> list[Tile]:
    low, high = report["miou_interval"]
    return [
        Tile("mIoU", shown(report["miou"]), f"95 %: {shown(low)} to {shown(high)}"),
        Tile("pixel accuracy", shown(report["pixel_accuracy"])),
        Tile("frequency-weighted IoU", shown(report["frequency_weighted_iou"])),
        Tile("mean Boundary IoU", shown(report["boundary_miou"]), "within 2 % of the diagonal"),
        Tile("calibration error", shown(report["expected_calibration_error"]), "0 is best"),
        Tile("mIoU, confidence=best", shown(report["miou_at_recommended"]), "thresholds per class"),
    ]


def _class_table(report: Mapping[str, Any]) -> Table:
    head = ("class", "IoU", "precision", "recall", "F1", "Boundary IoU", "best threshold", "pixels")
    rows = [
        (entry["name"], *(shown(entry[key]) for key in CLASS_FIGURES))
        for entry in report["classes"]
    ]
    return Table(head, rows)


def _charts(evaluation: Evaluation, pictures: Path) -> list[Picture]:
    split, report, figures = evaluation.split, evaluation.report, evaluation.figures
    bars = [
        Bar(entry["name"], class_id, entry["iou"], *entry["iou_interval"])
        for class_id, entry in zip(figures.labelled_ids, report["classes"], strict=True)
    ]
    used = [
        index
        for index in range(len(figures.class_names))
        if figures.matrix.counts[index].any() or figures.matrix.counts[:, index].any()
    ] or [0]
    names = [figures.class_names[index] for index in used]
    counts = figures.matrix.counts[used][:, used]
    drawn = {
        "classes": class_bars("IoU per class", bars),
        "confusion": confusion_matrix("Confusion", names, counts),
        "calibration": calibration_chart("Calibration", report["calibration"]),
    }
    captions = {
        "classes": "whiskers: 95 % of resampled sets of photos",
        "confusion": "percent of a row's pixels",
        "calibration": "larger dots: more pixels; below the line: too sure",
    }
    return [
        _chart(picture, pictures / f"{name}-{split}.png", captions[name])
        for name, picture in drawn.items()
    ]


def _chart(drawn: Pixels, path: Path, caption: str) -> Picture:
    file = encode_png(drawn)
    write_whole(path, file)
    return Picture(file, caption, drawn.shape[1] // PIXELS)


def _file_name(name: str) -> str:
    """A photo's name as a part of a file's.

    >>> _file_name("../a photo/é.x")
    'a_photo_x'
    """
    return re.sub(r"[^A-Za-z0-9-]+", "_", name).strip("_")[:60] or "photo"
