"""The model card of a package: what it is, what it reached, how it was made. Markdown."""

from collections.abc import Sequence
from typing import Any

from atrous.reports.html_page import shown

FIGURES = (
    ("mIoU", "miou"),
    ("frequency-weighted IoU", "frequency_weighted_iou"),
    ("pixel accuracy", "pixel_accuracy"),
    ("mean Boundary IoU", "boundary_miou"),
    ("expected calibration error", "expected_calibration_error"),
)
CHOICES = (
    *("iterations", "epochs", "time_budget_s", "loss", "batch_size", "optimizer"),
    "learning_rate",
    *("output_stride", "export_output_stride", "export_side", "export_flip", "precision", "seed"),
)


def model_card(
    name: str, class_names: Sequence[str], facts: dict[str, Any], photos: dict[str, int]
) -> str:
    """Write the card.

    facts: of the manifest: architecture, backbone, recipe, best_epoch, metrics,
        recommended_parameters. Besides: input_size, height and width of the network's input.
    photos: number of photos by split.
    """
    recipe = facts.get("recipe", {})
    size = facts.get("input_size", {})
    counts = ", ".join(f"{count:,} {split}" for split, count in photos.items())
    lines = [
        f"# {plain(name)}",
        "",
        f"Semantic segmentation: {plain(facts.get('architecture', '?'))} on "
        f"{plain(facts.get('backbone', '?'))}, {len(class_names)} classes, input "
        f"{size.get('height', '?')}x{size.get('width', '?')} (height x width). "
        f"Trained by atrous on photos of its own user: {counts}.",
        "",
        "## Use",
        "",
        "The answer for a photo is a mask of the photo's own size, one class id per pixel. The "
        "model was made for photos like those it was trained on; measure it on yours before you "
        "rely on it.",
        "",
        "## Classes",
        "",
        *(f"{index}. {plain(name)}" for index, name in enumerate(class_names)),
        "",
        *_figures(facts.get("metrics", {})),
        *threshold_section(facts.get("recommended_parameters")),
        "## Training",
        "",
        "| choice | value |",
        "|---|---|",
        *(f"| {key} | {plain(shown(value))} |" for key, value in _choices(recipe).items()),
        *([f"| best epoch | {facts['best_epoch']} |"] if "best_epoch" in facts else []),
        "",
        "All choices are in `manifest.json` under `recipe`.",
    ]
    return "\n".join(lines) + "\n"


def plain(text: Any) -> str:
    r"""A text that Markdown and HTML take as it is.

    >>> plain("a|b <c> *d*")
    'a\\|b \\<c\\> \\*d\\*'
    """
    line = " ".join(str(text).split())
    return "".join(f"\\{letter}" if letter in "\\`*_[]<>|#&~" else letter for letter in line)


def _choices(recipe: dict[str, Any]) -> dict[str, Any]:
    """The choices to show: of the three ends of a training those that it has."""
    return {key: recipe[key] for key in CHOICES if recipe.get(key) is not None}


def _figures(metrics: dict[str, Any]) -> list[str]:
    lines = []
    for split, report in metrics.items():
        interval = report.get("miou_interval")
        shares = f" (95 % of resamples: {shown(interval)})" if interval else ""
        lines += [f"## Figures on {plain(split)}", ""]
        lines += [
            f"- {name}: {shown(report[key])}{shares if key == 'miou' else ''}"
            for name, key in FIGURES
            if key in report
        ]
        lines += ["", "| class | IoU | precision | recall | F1 | Boundary IoU |"]
        lines += ["|---|--:|--:|--:|--:|--:|"]
        keys = ("iou", "precision", "recall", "f1", "boundary_iou")
        for entry in report.get("classes", []):
            cells = " | ".join(shown(entry.get(key)) for key in keys)
            lines.append(f"| {plain(entry['name'])} | {cells} |")
        lines.append("")
    return lines


def threshold_section(recommended: dict[str, Any] | None) -> list[str]:
    """Write the lines on `recommended_parameters`, none where there are none."""
    if not recommended:
        return []
    per_class = recommended.get("per_class_confidence", {})
    return [
        "## Confidence",
        "",
        "`confidence=best` means these thresholds, which maximise F1 on the validation photos; "
        "less probable pixels become background.",
        "",
        "| class | threshold |",
        "|---|--:|",
        *(f"| {plain(name)} | {value:.3f} |" for name, value in per_class.items()),
        f"| any other | {recommended.get('confidence', 0.5):.3f} |",
        "",
    ]
