"""A model package: a folder that is read, checked, written and copied as a whole."""

import json
import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from atrous.disk.whole import flush
from atrous.domain.classes import BACKGROUND, MAX_CLASSES, ClassTable, lines_of
from atrous.domain.errors import BadInput, BadPackage, Conflict
from atrous.domain.predictions import Thresholds
from atrous.domain.recipes import PreprocessRecipe
from atrous.domain.views import Views
from atrous.packages import inference_config, legacy, recommendation
from atrous.packages.manifest import FILE_NAME as MANIFEST
from atrous.packages.manifest import FORMAT as MANIFEST_FORMAT
from atrous.packages.manifest import build_manifest, verify_manifest
from atrous.packages.recommendation import DEFAULT_CONFIDENCE

WEIGHTS = "weights.onnx"
CLASS_NAMES = "class_names.txt"
MODEL_CONFIG = "model_config.json"
MODEL_CARD = "model_card.md"
# The network of WEIGHTS once more, for programs that read OpenVINO's format; never served.
OPENVINO_FILES = ("weights.xml", "weights.bin")
# Whatever else lies in a folder is no part of the package.
KNOWN_FILES = (
    MODEL_CONFIG,
    CLASS_NAMES,
    inference_config.FILE_NAME,
    legacy.FILE_NAME,
    WEIGHTS,
    *OPENVINO_FILES,
    MODEL_CARD,
    MANIFEST,
)
PEER_ARCHITECTURE = "deep-lab-v3-plus"  # the only DeepLab that peers know, for deeplabv3 as well
TASK_TYPE = "semantic-segmentation"
MAX_TEXT_BYTES = 4 << 20
UNFIT_FOR_A_LINE = re.compile(r"[\r\n\ud800-\udfff]")

Layout = Literal["inference-models", "legacy"]


@dataclass(frozen=True)
class ModelPackage:
    """What a package's files say, read and checked."""

    folder: Path
    weights: Path  # an ONNX file: (n, 3, height, width) -> logits (n, channels, h, w)
    class_names: tuple[str, ...]  # in the order of class_names.txt
    background_id: int  # the index of `background` in class_names
    preprocess: PreprocessRecipe
    layout: Layout
    architecture: str
    default_confidence: float = DEFAULT_CONFIDENCE
    best_thresholds: Thresholds = DEFAULT_CONFIDENCE  # what "best" means: found for this model
    manifest: dict[str, Any] = field(default_factory=dict)  # empty for packages made by others
    views: Views = Views()  # looks at a photo that an answer is blended of

    @property
    def facts(self) -> dict[str, Any]:
        """What a store says of the model without opening its package; JSON values."""
        return {
            "architecture": self.architecture,
            "backbone": self.manifest.get("backbone"),
            "class_names": list(self.class_names),
            "input_size": asdict(self.preprocess.size),
            "layout": self.layout,
            "metrics": self.manifest.get("metrics", {}),  # per split, as `masks.metrics` reports
        }

    @property
    def class_map(self) -> dict[str, str]:
        """Decimal id to name, as the HTTP API sends it."""
        return {str(index): name for index, name in enumerate(self.class_names)}


def read_package(folder: Path) -> ModelPackage:
    """Read a package in either layout; BadPackage says what is missing, damaged or unknown.

    The layouts are that of `inference_models` (with inference_config.json) and that of the
    older engine (with environment.json). A manifest written by atrous is verified.
    """
    if not folder.is_dir():
        raise BadPackage(f"{folder} is not a folder; give the folder that holds {WEIGHTS}")
    _require_onnx(folder)
    names = read_class_names(folder)
    notes = _read_manifest(folder)
    best = recommendation.read_thresholds(notes, MANIFEST, names)
    if (folder / inference_config.FILE_NAME).is_file():
        layout: Layout = "inference-models"
        architecture = _read_architecture(folder)
        if best is None:
            values = read_json(folder, MODEL_CONFIG)
            best = recommendation.read_thresholds(values, MODEL_CONFIG, names)
        recipe = inference_config.recipe_from_config(read_json(folder, inference_config.FILE_NAME))
    elif (folder / legacy.FILE_NAME).is_file():
        layout, architecture = "legacy", PEER_ARCHITECTURE
        recipe = legacy.recipe_from_environment(read_json(folder, legacy.FILE_NAME))
    else:
        raise BadPackage(
            f"{folder} has neither {inference_config.FILE_NAME} nor {legacy.FILE_NAME}, one of "
            "which says how pictures are prepared; add the one that came with the weights"
        )
    return ModelPackage(
        folder=folder,
        weights=folder / WEIGHTS,
        class_names=names,
        background_id=[name.lower() for name in names].index(BACKGROUND),
        preprocess=recipe,
        layout=layout,
        architecture=str(notes.get("architecture", architecture)),
        best_thresholds=DEFAULT_CONFIDENCE if best is None else best,
        manifest=notes,
        views=_read_views(notes),
    )


def write_package(
    folder: Path,
    *,
    weights: Path,
    classes: ClassTable,
    preprocess: PreprocessRecipe,
    manifest: dict[str, Any],
    card: str | None = None,
) -> ModelPackage:
    """Write a package that peers and `read_package` read, and read it back.

    manifest: JSON values (metrics, recipe, architecture); checksums and versions are added.
        `recommended_parameters` among them are written where peers look for them, too.
    card: Markdown for people, as `model_card.md`.
    `folder` is complete or absent, also after a crash: the files are written beside it, flushed
    and renamed. Raises Conflict where it exists, BadPackage where the names can't be written.
    """
    check_class_names(classes.names)
    model_config = {
        "model_architecture": PEER_ARCHITECTURE,
        "task_type": TASK_TYPE,
        "backend_type": "onnx",
    }
    if "recommended_parameters" in manifest:
        model_config["recommended_parameters"] = manifest["recommended_parameters"]

    def fill(unfinished: Path) -> None:
        shutil.copyfile(weights, unfinished / WEIGHTS)
        (unfinished / CLASS_NAMES).write_text("\n".join(classes.names) + "\n", "utf-8")
        write_json(unfinished / MODEL_CONFIG, model_config)
        config = inference_config.config_from_recipe(preprocess)
        write_json(unfinished / inference_config.FILE_NAME, config)
        if card is not None:
            (unfinished / MODEL_CARD).write_text(card, "utf-8")
        _add_manifest(unfinished, manifest)

    _appear_at_once(folder, fill)
    return read_package(folder)


def check_class_names(names: tuple[str, ...]) -> None:
    """Raise BadPackage for a name that `class_names.txt` can't hold; ask before a training."""
    for name in names:
        if UNFIT_FOR_A_LINE.search(name) or name != name.strip():
            raise BadPackage(
                f"the class name {name[:100]!r} has a line break, half a character, or white space "
                f"around it; rename it: {CLASS_NAMES} holds one name per line"
            )


def copy_package(source: Path, target: Path) -> ModelPackage:
    """Copy the files of a package, and nothing else, to a folder that appears at once.

    Raises BadPackage where `source` is no package or a file of it is a link, Conflict where
    `target` exists.
    """
    read_package(source)

    def fill(unfinished: Path) -> None:
        for name in KNOWN_FILES:
            if (source / name).is_file():
                shutil.copyfile(source / name, unfinished / name)

    _appear_at_once(target, fill)
    return read_package(target)


def _require_onnx(folder: Path) -> None:
    for name in KNOWN_FILES:
        if (folder / name).is_symlink():
            raise BadPackage(f"{name} is a link; a package holds its files itself: copy it in")
    if (folder / WEIGHTS).is_file():
        return
    remedies = {
        "weights.pt": f"convert it first: atrous convert {folder} --out FOLDER",
        "engine.plan": f"export the network to ONNX and put it beside as {WEIGHTS}",
    }
    for other, remedy in remedies.items():
        if (folder / other).is_file():
            raise BadPackage(
                f"the package holds {other} only, and only ONNX networks can be served; {remedy}"
            )
    raise BadPackage(f"{folder} has no {WEIGHTS}; a package needs the network in it")


def read_class_names(folder: Path) -> tuple[str, ...]:
    """The lines of class_names.txt; BadPackage where `background` or any other class is missing."""
    # newline kinds and a byte order mark come from other systems' editors
    text = _read_bytes(folder, CLASS_NAMES).decode("utf-8-sig", errors="replace")
    names = lines_of(text)
    if BACKGROUND not in (name.lower() for name in names) or len(names) < 2:
        raise BadPackage(
            f"{CLASS_NAMES} lists {', '.join(names)[:200] or 'nothing'}; it must name "
            f"'{BACKGROUND}' and at least one other class, one per line, in the network's order"
        )
    if len(names) > MAX_CLASSES:
        raise BadPackage(
            f"{CLASS_NAMES} lists {len(names)} classes; a label map of 8 bits holds {MAX_CLASSES}"
        )
    return names


def _read_architecture(folder: Path) -> str:
    config = read_json(folder, MODEL_CONFIG)
    task, backend = config.get("task_type"), config.get("backend_type")
    if task != TASK_TYPE:
        raise BadPackage(
            f"{MODEL_CONFIG} says task_type {str(task)[:100]!r}; only {TASK_TYPE} can be served"
        )
    if backend != "onnx":
        raise BadPackage(
            f"{MODEL_CONFIG} says backend_type {str(backend)[:100]!r}; only onnx can be served"
        )
    return str(config.get("model_architecture", PEER_ARCHITECTURE))


def _read_views(notes: dict[str, Any]) -> Views:
    try:
        return Views.from_json(notes.get("views", {}))
    except BadInput as error:
        raise BadPackage(f"{MANIFEST} says of views: {error}") from error


def _read_manifest(folder: Path) -> dict[str, Any]:
    if not (folder / MANIFEST).is_file():
        return {}
    values = read_json(folder, MANIFEST)
    if values.get("format") != MANIFEST_FORMAT:
        return {}
    verify_manifest(folder, values)
    return values


def _read_bytes(folder: Path, name: str) -> bytes:
    try:
        if (folder / name).stat().st_size > MAX_TEXT_BYTES:
            raise BadPackage(f"{name} has more than {MAX_TEXT_BYTES} bytes; it holds text only")
        return (folder / name).read_bytes()
    except OSError as error:
        raise BadPackage(
            f"{folder} has no readable {name} ({error.strerror}); a package needs it"
        ) from error


def read_json(folder: Path, name: str) -> dict[str, Any]:
    """A JSON object of the package; BadPackage where it is absent or something else."""
    try:
        values = json.loads(_read_bytes(folder, name))
    except (ValueError, RecursionError) as error:
        raise BadPackage(f"{name} is not JSON ({error}); export the model again") from error
    if not isinstance(values, dict):
        raise BadPackage(f"{name} holds a {type(values).__name__}; a JSON object is expected")
    return values


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Write a file of a package that people may want to read."""
    path.write_text(json.dumps(values, indent=2, allow_nan=False), "utf-8")


def _add_manifest(folder: Path, facts: dict[str, Any]) -> None:
    names = tuple(name for name in KNOWN_FILES if (folder / name).is_file())
    (folder / MANIFEST).write_bytes(build_manifest(folder, names, facts))


def _appear_at_once(folder: Path, fill: Callable[[Path], None]) -> None:
    """Fill a temporary sibling, flush it to the disk and rename it: all there, or nothing."""
    if folder.exists():
        raise Conflict(f"{folder} exists already; choose another folder or remove it")
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        fill(unfinished)
        read_package(unfinished)  # nothing that can't be read gets the final name
        unfinished.chmod(0o755)  # mkdtemp lets the owner alone in
        for path in (*unfinished.iterdir(), unfinished):
            flush(path)
        unfinished.rename(folder)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    flush(folder.parent)
