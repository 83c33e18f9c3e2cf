"""Checkpoints: all that an unbroken run would still hold in memory, in one safetensors file, replaced in one step.

Tensors (weights, batch statistics, the optimiser's moments) are stored as tensors; the rest (epoch, schedule) as
JSON in the file's header. Nothing is pickled. Random numbers need no place here: each epoch draws from a generator
seeded with the run's seed and the epoch's number.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from soundfold.atomic import replacing
from soundfold.errors import RunError

__all__ = ["Checkpoint", "load_checkpoint", "save_checkpoint", "save_tensors"]


@dataclass(frozen=True)
class Checkpoint:
    """The state after a whole epoch.

    Attributes:
        epoch: epochs done.
        model: the classifier's state dict.
        optimizer, scheduler: their state dicts.
        history: one record an epoch, as plain values.
        average: the network's averaged values by their names in its state dict; empty where none are kept.
        start: the weights that the network is held near, by their names; empty where it is not.
    """

    epoch: int
    model: dict[str, Tensor]
    optimizer: dict[str, Any]
    scheduler: dict[str, Any]
    history: list[dict[str, float | None]]
    average: dict[str, Tensor] = field(default_factory=dict)
    start: dict[str, Tensor] = field(default_factory=dict)

    @property
    def result(self) -> dict[str, Tensor]:
        """The classifier's state dict, with the averages in their places: what a training leaves."""
        return self.model | {f"network.{name}": tensor for name, tensor in self.average.items()}


def save_tensors(tensors: dict[str, Tensor], path: Path, metadata: dict[str, str]) -> None:
    """Write tensors as safetensors; the file appears, or replaces its predecessor, in one step."""
    content = save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, metadata)
    with replacing(path) as part:
        part.write_bytes(content)


def save_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Write a checkpoint; a kill leaves either the earlier one or this one, never a half."""
    parts = {"model": checkpoint.model, "average": checkpoint.average, "start": checkpoint.start}
    tensors = {f"{part}/{name}": tensor for part, held in parts.items() for name, tensor in held.items()}
    plain: dict[int, dict[str, Any]] = {}
    for number, state in checkpoint.optimizer["state"].items():
        plain[number] = {}
        for name, value in state.items():
            if isinstance(value, Tensor):
                tensors[f"optimizer/{number}/{name}"] = value
            else:
                plain[number][name] = value
    rest = {
        "epoch": checkpoint.epoch,
        "optimizer": {"state": plain, "param_groups": checkpoint.optimizer["param_groups"]},
        "scheduler": checkpoint.scheduler,
        "history": checkpoint.history,
    }
    save_tensors(tensors, path, {"soundfold": json.dumps(rest)})


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        RunError: the file is damaged, or is not a checkpoint of soundfold.
    """
    try:
        with safe_open(path, framework="pt") as file:
            rest = json.loads(file.metadata()["soundfold"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a dict
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise RunError(f"{path}: is not a whole checkpoint ({error}). Remove the file and train again") from None
    state: dict[int, dict[str, Any]] = {int(number): dict(kept) for number, kept in rest["optimizer"]["state"].items()}
    for name, tensor in tensors.items():
        if name.startswith("optimizer/"):
            _, number, key = name.split("/", 2)
            state.setdefault(int(number), {})[key] = tensor
    return Checkpoint(
        epoch=rest["epoch"],
        model=_part(tensors, "model/"),
        optimizer={"state": state, "param_groups": rest["optimizer"]["param_groups"]},
        scheduler=rest["scheduler"],
        history=rest["history"],
        average=_part(tensors, "average/"),
        start=_part(tensors, "start/"),
    )


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
