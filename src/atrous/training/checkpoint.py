"""Checkpoints: tensors in safetensors, all else in JSON that names them, never half written.

`last.json` and `best.json` each name the tensor file that belongs to them. The tensors are
written first and the JSON, replaced in one step, makes them count; then older tensors are
removed. A kill at any moment leaves the previous checkpoint or the new one.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save
from torch import Tensor

from atrous.deeplab.network import DeepLab, NetworkConfig, network_from
from atrous.disk.whole import write_whole
from atrous.domain.classes import ClassTable
from atrous.domain.errors import NotFound
from atrous.domain.recipes import TrainingRecipe
from atrous.training.averaging import WeightAverage
from atrous.training.run_folder import RunFolder


@dataclass
class TrainingState:
    """What a training knows besides tensors; saved in `last.json`."""

    epoch: int = 0  # epochs that are done
    step: int = 0  # optimizer steps that are done
    elapsed_s: float = 0.0  # wall time spent training and validating
    best_miou: float = -1.0  # of the averaged weights on the validation split, 0..1
    best_epoch: int = 0
    average_updates: int = 0
    validation_s: float = 0.0  # that a validation takes, by the last ones
    photos_unmeasured: float = 0.0  # trained on since the last validation, in whole crops
    norms_settled: bool = False  # batch norms keep their statistics from now on
    batch: int = 0  # batches that are done of the epoch at hand
    loss_sum: float = 0.0  # over these batches
    waited_s: float = 0.0  # for these batches
    stepped_s: float = 0.0  # time that they took in all
    parts: int = 1  # that a batch is computed in; more than planned once the memory was short
    scaler: dict[str, Any] = field(default_factory=dict)  # of fp16's gradients
    finished: bool = False
    results: list[dict[str, Any]] = field(default_factory=list)  # a row per epoch

    @property
    def mean_loss(self) -> float:
        """Of the epoch at hand so far."""
        return self.loss_sum / max(1, self.batch)

    @property
    def waiting_share(self) -> float:
        """Share (0..1) of the epoch at hand that its steps waited for photos."""
        return self.waited_s / self.stepped_s if self.stepped_s else 0.0

    @property
    def moment(self) -> str:
        """Epochs that are done, and batches of the next one, for the name of a file.

        >>> TrainingState(epoch=3).moment, TrainingState(epoch=3, batch=250).moment
        ('00003', '00003-250')
        """
        return f"{self.epoch:05d}" + (f"-{self.batch}" if self.batch else "")


def save_last(
    run: RunFolder,
    state: TrainingState,
    network: DeepLab,
    average: WeightAverage,
    optimizer: torch.optim.Optimizer,
) -> None:
    """Save all that a resumed training needs."""
    tensors = {
        **_prefixed("network.", network.state_dict()),
        **_prefixed("average.", average.network.state_dict()),
        **_optimizer_tensors(optimizer),
    }
    state.average_updates = average.updates
    _save(run, "last", state.moment, tensors, {"state": asdict(state)})


def has_last(run: RunFolder) -> bool:
    """Whether the run has a checkpoint to go on from."""
    return (run.checkpoints / "last.json").exists()


def load_last(
    run: RunFolder,
    network: DeepLab,
    average: WeightAverage,
    optimizer: torch.optim.Optimizer,
) -> TrainingState | None:
    """Put the last checkpoint into the given objects; None if there is none yet."""
    if not has_last(run):
        return None
    facts, tensors = _load(run, "last")
    network.load_state_dict(_unprefixed("network.", tensors))
    average.network.load_state_dict(_unprefixed("average.", tensors))
    _restore_optimizer(optimizer, _unprefixed("optimizer.", tensors))
    state = TrainingState(**facts["state"])
    average.updates = state.average_updates
    return state


def save_best(
    run: RunFolder,
    epoch: int,
    network: DeepLab,
    classes: ClassTable,
    recipe: TrainingRecipe,
    metrics: dict[str, Any],
) -> None:
    """Save the weights to export, with all that it takes to rebuild their network.

    epoch: that they were measured after; 0 for those of an unfinished first one, not measured.
    """
    facts = {
        "epoch": epoch,
        "network": asdict(network.config),
        "classes": asdict(classes),
        "recipe": recipe.to_json(),
        "metrics": metrics,
    }
    _save(run, "best", f"{epoch:05d}", dict(network.state_dict()), facts)


@dataclass(frozen=True)
class BestCheckpoint:
    """The weights that a run found best, and what they reached."""

    network: DeepLab  # in evaluation mode
    classes: ClassTable
    recipe: TrainingRecipe
    metrics: dict[str, Any]  # on the validation split; empty where not measured
    epoch: int  # 0: in the midst of the first one


def load_best(run: RunFolder) -> BestCheckpoint:
    """The best checkpoint of a run; NotFound before there is one."""
    if not (run.checkpoints / "best.json").exists():
        raise NotFound(f"run {run.path} has no checkpoint yet: let it train at least one epoch")
    facts, tensors = _load(run, "best")
    config = facts["network"]
    grid = config["multi_grid"]
    network = network_from(NetworkConfig(**{**config, "multi_grid": tuple(grid) if grid else None}))
    network.load_state_dict(tensors)
    classes = facts["classes"]
    return BestCheckpoint(
        network.eval(),
        ClassTable(tuple(classes["names"]), classes["background_labelled"]),
        TrainingRecipe.from_json(facts["recipe"]),
        facts["metrics"],
        facts["epoch"],
    )


def _save(
    run: RunFolder, name: str, moment: str, tensors: dict[str, Tensor], facts: dict[str, Any]
) -> None:
    file = run.checkpoints / f"{name}-{moment}.safetensors"
    plain = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
    write_whole(file, save(plain))
    write_whole(
        run.checkpoints / f"{name}.json",
        json.dumps({"tensors": file.name, **facts}, indent=2).encode(),
    )
    for older in run.checkpoints.glob(f"{name}-*.safetensors"):
        if older != file:
            older.unlink()


def _load(run: RunFolder, name: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    facts: dict[str, Any] = json.loads((run.checkpoints / f"{name}.json").read_text())
    file: Path = run.checkpoints / facts["tensors"]
    return facts, load_file(file)


def _prefixed(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + key: value for key, value in tensors.items()}


def _unprefixed(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)
    }


def _optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimizer's state as flat tensors, `optimizer.<parameter index>.<name>`."""
    return {
        f"optimizer.{index}.{name}": torch.as_tensor(value)
        for index, values in optimizer.state_dict()["state"].items()
        for name, value in values.items()
        if value is not None
    }


def _restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, _, name = key.partition(".")
        state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
    # Files hold rows in plain order; a fused optimizer takes moments as they lie, in the order of
    # the weights, which are channels-last.
    for parameter, values in optimizer.state.items():
        for name, value in values.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape and value.ndim:
                values[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
