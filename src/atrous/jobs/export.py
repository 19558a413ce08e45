"""Export a model of ours, or any ONNX package, in another precision, format, stride or size."""

import logging
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from atrous.datasets.detect import DatasetOptions, open_dataset
from atrous.datasets.version import Dataset
from atrous.deeplab.network import with_output_stride
from atrous.domain.errors import BadDataset, BadInput
from atrous.domain.geometry import Size
from atrous.domain.recipes import PreprocessRecipe
from atrous.export.onnx_file import export_onnx
from atrous.export.parity import insist, measure_parity
from atrous.export.variant import VariantRequest, export_variant
from atrous.export.variant_figures import LabelledPhotos
from atrous.jobs.convert import TRIALS, Trial
from atrous.jobs.evaluate import model_ids_of
from atrous.jobs.sound_data import with_sound_split
from atrous.jobs.train import reopen, request_of
from atrous.packages.directory import ModelPackage, read_package
from atrous.packages.variant import write_variant
from atrous.store.opening import Store
from atrous.store.runs import REQUEST, run_of_model
from atrous.training.checkpoint import load_best
from atrous.training.run_folder import RunFolder

logger = logging.getLogger(__name__)
SPLIT = "valid"  # ranges are taken from it, and mIoU is measured on it


@dataclass(frozen=True)
class Network:
    """Which network is exported, of the same weights."""

    output_stride: int | None  # 8 or 16; None where nothing says it
    size: Size  # of its input


@dataclass(frozen=True)
class Source:
    """A model to export."""

    name: str  # as the user gave it
    package: ModelPackage
    run: RunFolder | None  # the training that it came of, where its folder is still there

    @property
    def output_stride(self) -> int | None:
        """That of the package's network; None where nothing says it."""
        network = self.package.manifest.get("network")
        return network.get("output_stride") if isinstance(network, dict) else None

    @property
    def network(self) -> Network:
        """The one in the package."""
        return Network(self.output_stride, self.package.preprocess.size)


@dataclass(frozen=True)
class LabelledData:
    """A data set that was opened for this, and how its photos are to be prepared."""

    dataset: Dataset
    preprocess: PreprocessRecipe


def find_source(model: str, store: Store) -> Source:
    """The model that `model` names: a run's folder, a package's or a published model.

    Raises BadModelId or NotFound for one that is neither, BadPackage for a damaged one, BadInput
    for a run that has not exported its package yet.
    """
    path = Path(model)
    if (path / "recipe.json").is_file():
        run = RunFolder(path)
        if not run.package.is_dir():
            raise BadInput(
                f"the run {path} has no package yet; let it train to its end, which exports it: "
                f"{_resume_command(path)}"
            )
        return Source(model, read_package(run.package), run)
    if path.is_dir():
        return Source(model, read_package(path), _existing(path.absolute().parent))
    found = store.models.named(model)
    folder = run_of_model(store.home.runs, found.facts)
    its_run = _existing(folder) if folder is not None else None
    return Source(model, read_package(store.models.package_folder(found.folder)), its_run)


def _resume_command(run: Path) -> str:
    if not (run / REQUEST).is_file():
        return f"atrous train DIR --as {run.absolute().parent.name} --resume"
    return request_of(RunFolder(run)).resume_command


def _existing(folder: Path) -> RunFolder | None:
    return RunFolder(folder) if (folder / "recipe.json").is_file() else None


def open_data(
    source: Source, directory: Path | None, options: DatasetOptions, skip_bad: bool = False
) -> LabelledData | None:
    """The data set given, else that of the run; None where there is neither.

    One that is given has its validation split checked: BadDataset for faults, which `skip_bad`
    leaves out. That of the run was checked before the training.
    """
    if directory is not None:
        dataset = with_sound_split(
            open_dataset(directory, options), SPLIT, skip_bad=skip_bad, options=options
        )
        return LabelledData(dataset, source.package.preprocess)
    if source.run is None:
        return None
    if not (source.run.path / REQUEST).is_file() or not request_of(source.run).directory.is_dir():
        return None
    try:
        _, dataset = reopen(source.run)
    except BadDataset as error:
        raise BadDataset(
            f"the pictures of the run can't be used for the export ({error}); name labelled ones "
            "with --data"
        ) from error
    return LabelledData(dataset, source.run.read_recipe().preprocess)


def export_model(
    source: Source,
    request: VariantRequest,
    folder: Path,
    *,
    output_stride: int | None = None,
    side: int | None = None,
    data: LabelledData | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ModelPackage:
    """Write the package to `folder`, whole or not at all; see `export_variant`.

    output_stride: 8 or 16; side: the longer side of the network's input in pixels, both sides
        rounded to multiples of 16. None keeps that of the package. Another one needs the
        checkpoint of the run: BadInput where that is not there.
    """
    package = source.package
    network = Network(output_stride or source.output_stride, _input_size(source, side))
    photos = _photos(package, data) if data is not None else None
    with tempfile.TemporaryDirectory(prefix="atrous-export-") as temporary:
        if network != source.network:
            package = _of_checkpoint(source, network, photos, Path(temporary) / "package")
        # What int8 or fp16 loses is measured on one network, what another one loses in fp32.
        reference = source.package if request.precision == "fp32" else package
        return export_variant(package, request, photos, folder, progress, reference)


def _input_size(source: Source, side: int | None) -> Size:
    """That of the package, or one of this longer side in the shape of the training's photos."""
    size = source.package.preprocess.size
    if side is None or side == max(size.height, size.width):
        return size
    trained = source.run.read_recipe().preprocess.size if source.run else size
    return trained.with_longer_side(side)


def _photos(package: ModelPackage, data: LabelledData) -> LabelledPhotos:
    samples = data.dataset.splits.get(SPLIT)
    if not samples:
        raise BadDataset(
            f"{data.dataset.root} has no photos in split {SPLIT!r}, which the export is measured "
            f"on; it has {', '.join(data.dataset.splits)}"
        )
    model_ids = model_ids_of(data.dataset.classes, package)
    labelled = sorted(int(model_ids[class_id]) for class_id in data.dataset.classes.labelled_ids)
    return LabelledPhotos(samples, SPLIT, model_ids, labelled, data.preprocess)


def _of_checkpoint(
    source: Source, wanted: Network, photos: LabelledPhotos | None, folder: Path
) -> ModelPackage:
    """The fp32 package of the run's best weights as another network, compared with them."""
    if source.run is None or not (source.run.checkpoints / "best.json").is_file():
        raise BadInput(_no_checkpoint(source, wanted))
    best = load_best(source.run)
    stride = wanted.output_stride or best.network.config.output_stride
    network = with_output_stride(best.network, stride).eval()
    preprocess = photos.preprocess if photos else source.package.preprocess
    recipe = replace(preprocess, size=wanted.size)
    pictures = photos.samples if photos else [Trial(seed, wanted.size) for seed in range(TRIALS)]
    logger.info("exporting at output stride %d, input %s", stride, wanted.size)
    with tempfile.TemporaryDirectory(prefix="atrous-stride-") as temporary:
        weights = Path(temporary) / "weights.onnx"
        export_onnx(network, recipe.size, weights)
        parity = measure_parity(network, weights, recipe, pictures)
        insist(parity)
        manifest = source.package.manifest
        facts = {
            **manifest,
            "metrics": {},
            "source_metrics": manifest.get("metrics", {}),
            "network": asdict(network.config),
            "parity": parity.as_json(),
        }
        title = f"## Exported at output stride {stride}, input {wanted.size}"
        return write_variant(
            source.package,
            folder,
            weights=weights,
            facts=facts,
            card=f"{title}\n\nFigures above are of another network of the same weights.\n",
            size=wanted.size,
        )


def _no_checkpoint(source: Source, wanted: Network) -> str:
    has = source.network
    if wanted.size == has.size:
        change = f"at output stride {has.output_stride or 'unknown'}, and {wanted.output_stride}"
        remedy = f"leave --output-stride out, or train with --export-stride {wanted.output_stride}"
    else:
        side = max(wanted.size.height, wanted.size.width)
        change = f"for an input of {has.size}, and {wanted.size}"
        remedy = f"leave --size out, or train with --export-size {side}"
    return (
        f"{source.name} is {change} needs the checkpoint of its training, which is not here; name "
        f"the run's folder, as runs/shapes/0001, {remedy}"
    )
