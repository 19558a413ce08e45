"""From a data set and a machine to a recipe: what nobody chose is decided here, with a reason."""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from atrous.datasets.augmentations.reading import augmentation_from_text
from atrous.datasets.trainable import why_untrainable
from atrous.datasets.version import Dataset
from atrous.deeplab.starting_point import network_of_checkpoint
from atrous.deeplab.weights import normalization
from atrous.domain.errors import BadDataset, BadInput
from atrous.domain.geometry import SIDE_STEP, Size
from atrous.domain.recipe_rules import checked, without_effect
from atrous.domain.recipes import MAX_SIDE, PreprocessRecipe, ResizeMode, TrainingRecipe
from atrous.images.decode import image_size
from atrous.training.activation_memory import step_bytes
from atrous.training.class_weights import class_weights
from atrous.training.first_network import insist_on_start
from atrous.training.machine import Machine
from atrous.training.samples import steps_per_epoch

logger = logging.getLogger(__name__)
LOOKED_AT = 500  # photos whose size is read
ITERATIONS = 1500  # with batches of the usual size, where nothing else says how long
PASSES_AT_MOST = 150  # over the photos, where that is less: a tiny set learns nothing from more
AUXILIARY_WEIGHT = 0.5  # as torchvision trained its published weights
CPU_BATCH = 4  # more steps of the same photos; steps are what a short training lacks
CPU_BACKBONE_RATE = 1.0  # of the head's: a backbone that is held back is not done in a few epochs
CPU_SCALE_MIN = 0.75  # a crop that shows a smaller photo is half empty, and costs as much
CPU_LOSS_STRIDE = 2
EARLY_SHARE, EARLY_SIDE = 0.6, 256  # shorter crops show too little at half the size
GPU_BATCH = 16  # 1706.05587, table 7: 16 photos instead of 8 gave DeepLabv3 1.4 points
GPU_BATCHES = 10  # of them that an epoch has at least
TINY_BATCH = 4  # photos in a part, below which batch statistics are too noisy to train with
SMALL_BATCH, NORM_SHARE = 8, 0.9  # below it they are too noisy to end with
MEMORY_SHARE = 0.6  # of the free memory that a step may take
WORKERS_AT_MOST = 8
SGD_RATE, SGD_DECAY = 0.01, 5e-4  # as DeepLab's public recipes train with SGD
GIVEN = "given"


@dataclass
class Decisions:
    """Fields of a recipe as they are decided, each with its reason; a given one is kept."""

    given: dict[str, Any]
    values: dict[str, Any] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)

    def decide(self, name: str, value: Any, reason: str) -> Any:
        """Settle a field and give its value."""
        taken = name in self.given
        self.values[name] = self.given[name] if taken else value
        self.reasons[name] = GIVEN if taken else reason
        return self.values[name]

    def recipe(self, preprocess: PreprocessRecipe) -> TrainingRecipe:
        """A recipe of all that was decided or given; BadInput for values that make no sense."""
        undecided = {name: value for name, value in self.given.items() if name not in self.values}
        reasons = {**self.reasons, **dict.fromkeys(undecided, GIVEN)}
        plain = TrainingRecipe(preprocess, self.values["crop"])
        chosen = replace(plain, **{**undecided, **self.values, "preprocess": preprocess})
        for name, why in without_effect(chosen).items():
            if reasons.get(name) == GIVEN:
                reasons[name] = f"{GIVEN}, without effect: {why}"
        return checked(replace(chosen, reasons=reasons))


def recipe_for(
    dataset: Dataset,
    *,
    class_pixels: Sequence[int] = (),
    pixels_beside: Sequence[int] = (),
    max_side: int = MAX_SIDE,
    balancing: str = "auto",
    machine: Machine | None = None,
    **choices: Any,
) -> TrainingRecipe:
    """A recipe for this data set and machine; `choices` are fields that the user fixed.

    class_pixels: labelled pixels of every class id in the training split; none where they were not
        counted, and all classes weigh the same.
    pixels_beside: those of all classes in the photos that show the class.
    balancing: how the loss weighs classes by them, see `class_weights`.
    machine: what it will run on; this one where not given.
    choices: fields of TrainingRecipe; of `preprocess` a dict of its fields. None is no choice.
    Raises BadDataset for a training split that nothing can be learnt from, BadInput for a
    checkpoint to start from that is of another network.
    """
    if why := why_untrainable(dataset, class_pixels):
        raise BadDataset(why)
    _warn_of_unseen(dataset, class_pixels)
    given = {key: value for key, value in choices.items() if value is not None}
    if "start" in given:
        given = {**network_choices(Path(given["start"])), **given}
    decisions = Decisions(given)
    preprocess = _decide_input(decisions, dataset, max_side)
    checked_choices = decisions.recipe(preprocess)  # before anything is computed from them
    _, told = augmentation_from_text(checked_choices.augmentation)  # refuses what can't be read
    for note in told:
        logger.warning("%s", note)
    if checked_choices.architecture == "deeplabv3plus":
        decisions.decide("aligned", True, "weights trained at output stride 16 fit 8 as well")
    weights = class_weights(class_pixels, balancing, pixels_beside)
    _decide_weights(decisions, dataset, class_pixels, weights, balancing)
    if why := without_effect(checked_choices).get("class_weights"):
        decisions.decide("class_weights", None, f"none: {why}")
    machine = machine or Machine.here()
    _decide_rates(decisions, checked_choices, machine)
    _decide_pace(decisions, machine)
    _decide_batch(decisions, preprocess, dataset, machine)
    _decide_length(decisions, len(dataset.splits["train"]))
    recipe = decisions.recipe(preprocess)
    insist_on_start(recipe, len(dataset.classes))
    return recipe


def _warn_of_unseen(dataset: Dataset, class_pixels: Sequence[int]) -> None:
    """Tell of a class that no training label ever shows."""
    unseen = [
        dataset.classes.names[class_id]
        for class_id in dataset.classes.labelled_ids
        if class_pixels and not class_pixels[class_id]
    ]
    if unseen:
        logger.warning(
            "%s is never seen in training and won't be learnt: add photos of it to the train "
            "split, or leave it out of the classes",
            ", ".join(unseen),
        )


def _decide_input(decisions: Decisions, dataset: Dataset, max_side: int) -> PreprocessRecipe:
    """Input size, crop and normalisation."""
    backbone = decisions.given.get("backbone", TrainingRecipe.backbone)
    size, mode = input_size(dataset, max_side)
    mean, std = normalization(backbone)
    found = PreprocessRecipe(size=size, resize_mode=mode, mean=mean, std=std)
    preprocess = replace(found, **decisions.given.get("preprocess", {}))
    why = (
        f"all photos have one shape; longer side at most {max_side}"
        if mode == "stretch"
        else f"photos have several sizes: letterboxed, 9 in 10 not shrunk, at most {max_side}"
    )
    decisions.decide("preprocess", preprocess, why)
    decisions.values["preprocess"] = preprocess  # what is given are some of its fields
    decisions.decide("crop", preprocess.size, "the whole input: larger crops are better")
    return preprocess


def _decide_weights(
    decisions: Decisions,
    dataset: Dataset,
    class_pixels: Sequence[int],
    weights: tuple[float, ...] | None,
    balancing: str,
) -> None:
    """Loss and class weights."""
    decisions.decide("loss", TrainingRecipe.loss, "the most even-tempered; a sum is an option")
    decisions.decide(
        "copy_paste", TrainingRecipe.copy_paste, "off: what it gave was too little to tell"
    )
    total = max(1, sum(class_pixels))
    shares = [(pixels / total, id) for id, pixels in enumerate(class_pixels) if pixels]
    why = "classes were not counted"
    if shares:
        share, rarest = min(shares)
        why = f"the rarest class, {dataset.classes.names[rarest]}, has {share:.1%} of the pixels"
    decisions.decide("class_weights", weights, f"{balancing}: {why}")
    count = len(decisions.values["class_weights"] or dataset.classes.names)
    if count != len(dataset.classes):
        raise BadInput(
            f"class_weights has {count} numbers; give {len(dataset.classes)}, one per class: "
            f"{', '.join(dataset.classes.names)}"
        )


def _decide_rates(decisions: Decisions, checked_choices: TrainingRecipe, machine: Machine) -> None:
    """Learning rate and weight decay by the optimizer, and the backbone's part of the rate."""
    if checked_choices.optimizer == "sgd":
        decisions.decide("learning_rate", SGD_RATE, "of the head, usual with SGD")
        decisions.decide("weight_decay", SGD_DECAY, "usual with SGD, which adds it to gradients")
    else:
        decisions.decide("learning_rate", TrainingRecipe.learning_rate, "of the head, with AdamW")
    rate, why = TrainingRecipe.backbone_rate, "of that: the backbone has less to learn"
    if machine.gpu is None and checked_choices.optimizer == "adamw":
        rate, why = CPU_BACKBONE_RATE, "of that: without a GPU the backbone has few steps to learn"
    decisions.decide("backbone_rate", rate, why)


def _decide_pace(decisions: Decisions, machine: Machine) -> None:
    """Without a GPU: cheaper steps, so that there are more of them.

    What each brought is in docs/training_log.md.
    """
    if machine.gpu is not None:
        return
    crop = decisions.values["crop"]
    large = min(crop.height, crop.width) >= EARLY_SIDE
    decisions.decide(
        "early_share",
        EARLY_SHARE if large else 0.0,
        "without a GPU: photos of half the size first, a step of them takes a quarter"
        if large
        else f"a crop with a side below {EARLY_SIDE} shows too little at half the size",
    )
    decisions.decide(
        "loss_stride", CPU_LOSS_STRIDE, "without a GPU: the loss on a quarter of the pixels in turn"
    )
    scale_min = min(CPU_SCALE_MIN, decisions.given.get("scale_max", TrainingRecipe.scale_max))
    decisions.decide(
        "scale_min", scale_min, "without a GPU: crops of smaller photos are half empty"
    )


def _decide_batch(
    decisions: Decisions, preprocess: PreprocessRecipe, dataset: Dataset, machine: Machine
) -> None:
    """Batch size, the parts it is computed in, what norms do with it, and who augments."""
    photos = len(dataset.splits["train"])
    wanted, why = TrainingRecipe.batch_size, "too few photos for a GPU's larger batches"
    if machine.gpu is None:
        wanted, why = CPU_BATCH, "without a GPU: small batches make more steps"
    elif photos >= GPU_BATCHES * GPU_BATCH:
        wanted, why = GPU_BATCH, "a GPU computes as many at once"
    batch = decisions.decide(
        "batch_size", min(wanted, photos), why if photos >= wanted else "all photos that there are"
    )
    devices = _decide_devices(decisions, machine, batch)
    recipe = decisions.recipe(preprocess)
    parts, memory_bytes = 1, MEMORY_SHARE * machine.memory_bytes
    in_step = -(-min(batch, photos) // devices)  # on each of them
    while parts < in_step and step_bytes(recipe, len(dataset.classes), -(-in_step // parts)) > (
        memory_bytes
    ):
        parts = min(in_step, 2 * parts)
    needed = step_bytes(recipe, len(dataset.classes), -(-in_step // parts)) / 10**9
    parts = decisions.decide(
        "accumulation", parts, f"about {needed:.1f} GB a part of a batch, of {machine}"
    )
    part = devices * -(-in_step // parts)
    frozen = part < TINY_BATCH and (recipe.pretrained or recipe.start is not None)
    decisions.decide(
        "norm",
        "frozen" if frozen else "sync" if devices > 1 else "batch",
        f"{part} photos at once are too few for statistics"
        if frozen
        else f"{part} photos at once give the statistics",
    )
    decisions.decide(
        "norm_share",
        NORM_SHARE if part < SMALL_BATCH else TrainingRecipe.norm_share,
        f"then norms keep their statistics, which {part} photos at once make noise of"
        if part < SMALL_BATCH
        else f"norms learn to the end: {part} photos at once are enough",
    )
    free_cores = max(0, machine.cores // devices - 1)
    workers = min(WORKERS_AT_MOST, free_cores) if machine.gpu else 0
    decisions.decide(
        "workers",
        workers,
        "cores beside each GPU's own" if machine.gpu else "the network needs all cores",
    )


def _decide_devices(decisions: Decisions, machine: Machine, batch: int) -> int:
    """GPUs that share a batch, and what else only a GPU can do."""
    if machine.gpu is None:
        return int(decisions.given.get("devices", TrainingRecipe.devices))
    decisions.decide("tf32", True, "enough to train with, and much quicker than float32 on a GPU")
    decisions.decide("compile", False, "it takes minutes at first: for long trainings")
    sharing = max(1, min(machine.gpus, batch // TINY_BATCH))
    devices: int = decisions.decide(
        "devices", sharing, f"of {machine.gpus} GPUs: each gets {TINY_BATCH} photos or more"
    )
    if devices > machine.gpus:
        raise BadInput(f"devices is {devices}; this machine has GPUs for at most {machine.gpus}")
    return devices


def _decide_length(decisions: Decisions, photos: int) -> None:
    """Iterations, unless epochs or a time budget are given: one end is enough."""
    given, batch = decisions.given, decisions.values["batch_size"]
    in_pass = steps_per_epoch(photos, batch)
    if given.get("epochs"):
        decisions.decide("iterations", None, f"the epochs end it, of some {in_pass} iterations")
    elif given.get("time_budget_s"):
        budget_s = given["time_budget_s"]
        decisions.decide("iterations", None, f"the time budget of {budget_s:g} s ends it")
    else:
        smaller = max(1, TrainingRecipe.batch_size // batch)  # than usual: more steps see as much
        iterations = min(ITERATIONS * smaller, PASSES_AT_MOST * in_pass)
        passes = f"{iterations / in_pass:.3g} passes over {photos} photos"
        decisions.decide("iterations", iterations, passes)


def network_choices(start: Path) -> dict[str, Any]:
    """The fields of a recipe that a checkpoint to start from decides; BadInput if unreadable."""
    config = network_of_checkpoint(start)
    if config is None:
        return {}
    return {
        "architecture": config.architecture,
        "backbone": config.backbone,
        "separable": config.separable,
        "auxiliary_weight": AUXILIARY_WEIGHT if config.auxiliary else 0.0,
    }


def input_size(dataset: Dataset, max_side: int) -> tuple[Size, ResizeMode]:
    """The network's input for a set's photos, and how they are brought to it.

    Photos of one size keep their shape, at their own size or with the longer side at `max_side`.
    Photos of several sizes are letterboxed into a square that most fit without being shrunk.
    """
    samples = dataset.splits["train"][:LOOKED_AT]
    sizes = Counter(image_size(sample.image) for sample in samples)
    if len(sizes) == 1:
        only = next(iter(sizes))
        scale = min(1.0, max_side / max(only.height, only.width))
        return Size(
            max(32, round(only.height * scale)), max(32, round(only.width * scale))
        ), "stretch"
    sides = sorted(max(size.height, size.width) for size in sizes.elements())
    most = sides[int(0.9 * (len(sides) - 1))]
    side = min(max_side, -(-most // SIDE_STEP) * SIDE_STEP)
    return Size(side, side), "letterbox"
