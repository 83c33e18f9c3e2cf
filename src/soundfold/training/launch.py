"""Starting a training on the devices that were asked for, in this process or in several."""

import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies.ddp import DDPStrategy
from torch import Tensor
from torch.multiprocessing.spawn import ProcessExitedException, ProcessRaisedException

from soundfold.errors import RunError, SoundfoldError, did_you_mean
from soundfold.training.checkpoint import load_checkpoint
from soundfold.training.history import EpochRecord
from soundfold.training.loop import CHECKPOINT_NAME, FitJob, fit_in_process

__all__ = ["Fitted", "Hardware", "fit", "is_main_process", "take_part"]

_DEVICES = ("auto", "cpu", "cuda", "mps")


@dataclass(frozen=True)
class Hardware:
    """Where to train.

    Attributes:
        device: auto, cpu, cuda or mps.
        devices: processes on this machine, one a device; on cpu they share its cores.
        num_nodes: machines; more than one are started by torchrun or a cluster, with the same command on each.
    """

    device: str = "auto"
    devices: int = 1
    num_nodes: int = 1

    def __post_init__(self) -> None:
        if self.device not in _DEVICES:
            raise RunError(f"device must be one of {', '.join(_DEVICES)}, got '{self.device}'."
                           f"{did_you_mean('cuda' if self.device == 'gpu' else self.device, _DEVICES)}")  # fmt: skip
        here = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
        if not here.get(self.device, True):
            raise RunError(f"device must be one that this machine has, got '{self.device}'. Use --device cpu")
        for name, value in (("devices", self.devices), ("num_nodes", self.num_nodes)):
            if value < 1:
                raise RunError(f"{name} must be at least 1, got {value}. Leave it out to train in one process")
        if self.num_nodes > 1 and not _started_outside():
            raise RunError(
                f"num_nodes must be 1 unless torchrun or a cluster starts the processes, got {self.num_nodes}. "
                f"Start it by: torchrun … -m soundfold train"
            )
        if self.device == "cuda" and self.devices > torch.cuda.device_count():
            raise RunError(f"devices must be at most {torch.cuda.device_count()} on this machine, got {self.devices}")

    @property
    def torch_device(self) -> torch.device:
        """Where one process computes: the device asked for, or the best there is."""
        if self.device != "auto":
            return torch.device(self.device)
        best = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        return torch.device(best)


@dataclass(frozen=True)
class Fitted:
    """What training left: the classifier's state dict, and the history."""

    state: dict[str, Tensor]
    history: list[EpochRecord]


def _started_outside() -> bool:
    return "RANK" in os.environ or "SLURM_PROCID" in os.environ


def is_main_process() -> bool:
    """Return whether this process is the one that writes results, under torchrun or a cluster; alone it always is."""
    return int(os.environ.get("RANK", os.environ.get("SLURM_PROCID", "0"))) == 0


def fit(job: FitJob, hardware: Hardware, on_epoch: Callable[[EpochRecord], None]) -> Fitted:
    """Train, or continue the training whose checkpoint lies in the run's folder.

    With several devices, processes are started afresh (spawned): a script that calls this needs the usual
    `if __name__ == "__main__":` guard.

    Args:
        job: what to train on.
        hardware: where.
        on_epoch: called after each epoch.

    Raises:
        DataError: the loss is no longer a number.
        RunError: the folder's checkpoint is damaged, or belongs to another network.
    """
    take_part(job, hardware, on_epoch)
    last = load_checkpoint(job.folder / CHECKPOINT_NAME)
    return Fitted(last.model, [EpochRecord(**record) for record in last.history])  # type: ignore[arg-type]


def take_part(job: FitJob, hardware: Hardware, on_epoch: Callable[[EpochRecord], None]) -> None:
    """Do this process's part of a training; `fit` is this and reading what it left.

    Under torchrun or a cluster every process calls this, and only the first one goes on to read and to write.
    """
    checkpoint_path = job.folder / CHECKPOINT_NAME
    if checkpoint_path.exists() and load_checkpoint(checkpoint_path).epoch >= job.recipe.training.epochs:
        return
    launched_outside = "RANK" in os.environ or hardware.num_nodes > 1
    several = hardware.devices * hardware.num_nodes > 1
    fabric = Fabric(
        accelerator=hardware.device,
        devices=hardware.devices,
        num_nodes=hardware.num_nodes,
        # buffers are shared by SharedBatchNorm2d; DDP's own broadcast would wait for processes that hold no clip
        strategy=DDPStrategy(start_method="popen" if launched_outside else "spawn", broadcast_buffers=False)
        if several
        else "auto",
        precision=job.recipe.training.precision,
    )
    if several and not launched_outside:
        _launch_spawned(fabric, job, on_epoch)
    else:
        fabric.launch(partial(fit_in_process, job=job, on_epoch=on_epoch))


def _launch_spawned(fabric: Fabric, job: FitJob, on_epoch: Callable[[EpochRecord], None]) -> None:
    """Start the processes; the first one's records, and anyone's complaint, come back through a queue."""
    queue: Any = multiprocessing.get_context("spawn").SimpleQueue()
    complaints: list[SoundfoldError] = []
    others = set(multiprocessing.active_children())

    def relay() -> None:
        while (told := queue.get()) is not None:
            if isinstance(told, SoundfoldError):
                complaints.append(told)
            else:
                on_epoch(told)

    listener = threading.Thread(target=relay, daemon=True)
    listener.start()
    try:
        # all in one callable: Fabric walks through arguments, and refuses frozen ones
        fabric.launch(partial(_spawned, job=job, queue=queue))
    except (ProcessRaisedException, ProcessExitedException) as error:
        queue.put(None)
        listener.join()
        raise (complaints[0] if complaints else error) from None
    finally:
        for child in set(multiprocessing.active_children()) - others:
            child.terminate()  # after Ctrl-C they would train on, and we would wait for them
        queue.put(None)
        listener.join()


def _spawned(fabric: Fabric, job: FitJob, queue: Any) -> None:
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # its banners are no news to our user
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))  # the parent tells of Ctrl-C, once
    try:
        fit_in_process(fabric, job, queue.put)
    except SoundfoldError as error:
        queue.put(error)
        raise
