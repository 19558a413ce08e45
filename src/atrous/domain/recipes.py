"""Recipes: every choice of preprocessing and training, saved beside what it made."""

from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import PurePath
from typing import Any, Literal

from atrous.domain.errors import BadInput
from atrous.domain.geometry import Size

ResizeMode = Literal[
    "stretch", "letterbox", "letterbox-reflect-edges", "center-crop", "fit-longer-edge"
]
ContrastMode = Literal["Adaptive Equalization", "Contrast Stretching", "Histogram Equalization"]
Architecture = Literal["deeplabv3", "deeplabv3plus"]

MAX_SIDE = 512  # pixels of a network input's longer side, where nobody chose another
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
INCEPTION_MEAN = (0.5, 0.5, 0.5)
INCEPTION_STD = (0.5, 0.5, 0.5)


@dataclass(frozen=True)
class StaticCrop:
    """The part of every photo that the network sees, in percent (0..100) of width and height."""

    x_min: float
    x_max: float
    y_min: float
    y_max: float


@dataclass(frozen=True)
class PreprocessRecipe:
    """How a photo becomes the network's input. Training, export and serving all follow it."""

    size: Size  # height and width of the network's input
    resize_mode: ResizeMode = "stretch"
    padding_value: int = 0  # grey level 0..255 around a letterboxed photo
    grayscale: bool = False  # grey, replicated to three channels
    contrast: ContrastMode | None = None
    static_crop: StaticCrop | None = None
    color_mode: Literal["rgb", "bgr"] = "rgb"  # channel order of the network's input
    scaling_factor: float = 255.0  # grey levels are divided by this before mean and std
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD


@dataclass(frozen=True)
class TrainingRecipe:
    """Every choice of one training; saved as `recipe.json`."""

    preprocess: PreprocessRecipe
    crop: Size  # training crops, cut from the photo at the network's input size
    architecture: Architecture = "deeplabv3plus"
    backbone: str = "tf_efficientnet_lite0"  # a timm name
    pretrained: bool = True  # start from ImageNet weights where they can be had
    start: str | None = None  # a checkpoint to start from instead, fine-tuning it
    output_stride: Literal[8, 16] = 16  # while training
    export_output_stride: Literal[8, 16] = 16  # of the exported network, same weights
    export_side: int | None = None  # longer side of the exported network's input; None: as trained
    export_flip: bool = False  # the exported package asks for a mirrored look besides, in serving
    separable: bool = True  # depthwise-separable 3x3 convolutions in ASPP and decoder
    aligned: bool = False  # of DeepLabv3+: the context lies alike at both output strides
    auxiliary_weight: float = 0.0  # weight of an auxiliary head's loss; 0: no such head
    frozen_stride: Literal[0, 2, 4, 8] = 0  # parts of the backbone up to it stay as loaded
    loss_stride: int = 1  # the loss sees every n-th row and column, others in each step
    early_share: float = 0.0  # of the training, at its beginning, sees smaller photos and crops
    early_scale: float = 0.5  # how much shorter their sides are
    # A training ends with the first of these three, of which one at least is there.
    iterations: int | None = None  # steps of the optimizer
    epochs: int | None = None  # passes over the training photos
    time_budget_s: float | None = None  # seconds, export and test included; the rates follow it
    validation_interval: float = 2.5  # photos trained on for each that is measured, at least
    batch_size: int = 8  # photos per step of the optimizer
    accumulation: int = 1  # parts that a batch is computed in, where memory is short
    repeat_threshold: float = 0.0  # photos of classes in less than this share come more often
    norm: Literal["batch", "frozen", "sync"] = "batch"  # see training/norms.py
    norm_share: float = 1.0  # of the training, after which all norms keep their statistics
    loss: str = "ce"  # a sum as "ce + 0.5*lovasz", see domain/loss_terms.py
    optimizer: Literal["adamw", "sgd"] = "adamw"
    learning_rate: float = 1e-3  # of the head, at the end of warm-up
    backbone_rate: float = 0.25  # the backbone's rate as a multiple of the head's
    weight_decay: float = 1e-2
    momentum: float = 0.9  # of SGD
    nesterov: bool = False  # SGD looks ahead
    gradient_clip: float = 0.0  # longest gradient, as a Euclidean norm over all weights; 0: any
    schedule: Literal["poly", "cosine"] = "poly"
    warmup_share: float = 0.05  # of all steps, the rate rising linearly
    poly_power: float = 0.9  # rate = base * (1 - step / steps) ** power, of "poly"
    label_smoothing: float = 0.0
    class_weights: tuple[float, ...] | None = None  # of a pixel in the loss, by class id; all 1
    ema_decay: float = 0.99  # of the averaged weights that are evaluated and exported; 0: none
    scale_min: float = 0.5  # random scale, drawn log-uniformly
    scale_max: float = 2.0
    flip: float = 0.5  # probability of a horizontal flip
    color_jitter: float = 0.3  # strength of brightness, contrast and saturation jitter
    copy_paste: float = 0.0  # probability that a photo gets objects of rare classes of others
    augmentation: str = ""  # JSON of steps as versions have them, anew in each epoch, before those
    precision: Literal["auto", "fp32", "bf16", "fp16"] = (
        "auto"  # auto: bf16 where the hardware speeds it up
    )
    tf32: bool = True  # GPUs multiply what stays in float32 as TF32
    compile: bool = False  # torch.compile the network, which takes minutes at first
    devices: int = 1  # GPUs, a process each, that share every batch; without a GPU processes
    workers: int = 0  # processes that augment; 0: the training process itself
    seed: int = 0
    reasons: dict[str, str] = field(default_factory=dict, compare=False)  # why, by field

    @property
    def export_preprocess(self) -> PreprocessRecipe:
        """How a photo becomes the exported network's input."""
        if self.export_side is None:
            return self.preprocess
        size = self.preprocess.size.with_longer_side(self.export_side)
        return replace(self.preprocess, size=size)

    def to_json(self) -> dict[str, Any]:
        """The recipe as JSON values."""
        return asdict(self)

    def to_shown_json(self) -> dict[str, Any]:
        """The same for packages and pages, which are passed on: of `start` the name alone."""
        return {**self.to_json(), "start": PurePath(self.start).name if self.start else self.start}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "TrainingRecipe":
        """Read what `to_json` wrote; an unknown key raises BadInput."""
        known = {known.name for known in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise BadInput(f"recipe has unknown keys {unknown}; known are {sorted(known)}")
        weights = values.get("class_weights")
        return cls(
            **{
                **values,
                "preprocess": preprocess_from_json(values["preprocess"]),
                "crop": Size(**values["crop"]),
                "class_weights": tuple(weights) if weights else None,
            }
        )


def preprocess_from_json(values: dict[str, Any]) -> PreprocessRecipe:
    """Read the JSON values of a PreprocessRecipe."""
    crop = values.get("static_crop")
    return PreprocessRecipe(
        **{
            **values,
            "size": Size(**values["size"]),
            "static_crop": StaticCrop(**crop) if crop else None,
            "mean": tuple(values.get("mean", IMAGENET_MEAN)),
            "std": tuple(values.get("std", IMAGENET_STD)),
        }
    )
