"""Starting trainings on the devices that were asked for, in this process or in several."""

import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor
from torch.multiprocessing.spawn import ProcessExitedException, ProcessRaisedException

from soundfold.errors import RunError, SoundfoldError, did_you_mean
from soundfold.models import build_classifier
from soundfold.quiet import quiet_loggers
from soundfold.training.checkpoint import load_checkpoint
from soundfold.training.fitted_start import leave_as_begun
from soundfold.training.fitting import FitJob
from soundfold.training.forward_pass import has_map_of_one_frame, operations, prepared_clip
from soundfold.training.history import EpochRecord
from soundfold.training.host import native_precision
from soundfold.training.linear_fit import fit_linear
from soundfold.training.loop import CHECKPOINT_NAME, fit_in_process
from soundfold.training.together import can_step_together, is_plain
from soundfold.training.trial import Trial, hold_trial, trial_in

if TYPE_CHECKING:
    from lightning_fabric import Fabric

__all__ = ["Fitted", "Hardware", "fit", "fit_together", "is_main_process", "networks_at_once", "take_part"]

OnEpoch = Callable[[EpochRecord], None]

_DEVICES = ("auto", "cpu", "cuda", "mps")
_GPU_STEP = 20e9
"""Operations of a training step that fill a GPU for about a millisecond."""


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
        started = os.environ.get("WORLD_SIZE") if "RANK" in os.environ else None
        if started and int(started) != self.devices * self.num_nodes:
            each = max(1, int(started) // self.num_nodes)
            raise RunError(f"devices times num_nodes must be the {started} processes that torchrun started, got "
                           f"{self.devices * self.num_nodes}. Say --devices {each}")  # fmt: skip
        if self.device == "cuda" and self.devices > torch.cuda.device_count():
            raise RunError(
                f"devices must be at most {torch.cuda.device_count()} on this machine, got {self.devices}. "
                f"Ask for fewer, or leave it out for one"
            )

    @property
    def torch_device(self) -> torch.device:
        """Where one process computes: the device asked for, or the best there is."""
        if self.device != "auto":
            return torch.device(self.device)
        best = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        return torch.device(best)


@dataclass(frozen=True)
class Fitted:
    """What training left: the classifier's state dict, the history, and what a trial found where one was held."""

    state: dict[str, Tensor]
    history: list[EpochRecord]
    trial: Trial | None = None


def _started_outside() -> bool:
    return "RANK" in os.environ or "SLURM_PROCID" in os.environ


def is_main_process() -> bool:
    """Return whether this process is the one that writes results, under torchrun or a cluster; alone it always is."""
    return int(os.environ.get("RANK", os.environ.get("SLURM_PROCID", "0"))) == 0


def fit(job: FitJob, hardware: Hardware, on_epoch: OnEpoch, on_trial: OnEpoch = lambda _: None) -> Fitted:
    """Train, or continue the training whose checkpoint lies in the run's folder.

    With several devices, processes are started afresh (spawned): a script that calls this needs the usual
    `if __name__ == "__main__":` guard.

    Args:
        job: what to train on.
        hardware: where.
        on_epoch: called after each epoch.
        on_trial: called after each epoch of a trial, where one is held.

    Raises:
        DataError: the loss is no longer a number.
        RunError: the folder's checkpoint is damaged, or belongs to another network.
    """
    take_part(job, hardware, on_epoch, on_trial)
    return _left_by(job)


def fit_together(
    jobs: Sequence[FitJob], hardware: Hardware, on_epoch: Callable[[int, EpochRecord], None]
) -> list[Fitted]:
    """Train several networks of one architecture in this process, epoch by epoch together; or continue them.

    Each learns what `fit` would have taught it, within rounding, and leaves the same in its folder. Checkpoints of
    either can be continued by the other.

    Args:
        jobs: trainings whose recipes differ in nothing but the seed.
        hardware: where; one device.
        on_epoch: called after each epoch of each, with the position of the job.

    Raises:
        ValueError: the jobs do not belong together.
        DataError, RunError: as `fit`; no job is trained further.
    """
    if hardware.devices > 1 or hardware.num_nodes > 1 or "RANK" in os.environ:
        raise ValueError("fit_together needs a single device. Train one after another with fit")
    alike = {(job.recipe.model_dump_json(exclude={"training": {"seed"}}), job.n_labels) for job in jobs}
    if len(alike) > 1:
        raise ValueError("recipes of jobs must differ in the seed only, and labels not at all. Train each with fit")
    open_ = [number for number, job in enumerate(jobs) if not _is_done(job)]
    if open_:
        fabric = _fabric(jobs[0], hardware)
        mine = [jobs[number] for number in open_]
        fabric.launch(partial(fit_in_process, jobs=mine, on_epoch=lambda at, told: on_epoch(open_[at], told)))
    return [_left_by(job) for job in jobs]


def networks_at_once(job: FitJob, hardware: Hardware) -> int:
    """Return how many trainings like this one are worth a pass together; 1 where each is as quick alone.

    A training step is some hundred kernels, and a GPU takes half a millisecond for those of the smallest network, which
    keeps a fraction of it busy. Together, networks cost no more kernels than one. That ends where their arithmetic
    itself takes longer than that, which is where a joint step has so many operations as fill the GPU; a backward pass
    has twice as many as a forward pass. On a CPU, processes share the cores with less to do.
    """
    if hardware.torch_device.type != "cuda" or hardware.devices > 1 or not can_step_together(job.recipe):
        return 1
    classifier = build_classifier(job.recipe, job.n_labels, job.recipe.training.seed)
    if not is_plain(classifier.network):
        return 1
    step = 3 * operations(classifier.network, prepared_clip(classifier)) * job.recipe.training.batch_size
    return max(1, int(_GPU_STEP / step))


def _left_by(job: FitJob) -> Fitted:
    """Return what a finished training has left in its folder."""
    last = load_checkpoint(job.folder / CHECKPOINT_NAME)
    history = [EpochRecord(**record) for record in last.history]  # type: ignore[arg-type]
    return Fitted(last.result, history, trial_in(job.folder))


def _is_done(job: FitJob) -> bool:
    path = job.folder / CHECKPOINT_NAME
    return path.exists() and load_checkpoint(path).epoch >= job.recipe.training.epochs


def take_part(job: FitJob, hardware: Hardware, on_epoch: OnEpoch, on_trial: OnEpoch = lambda _: None) -> None:
    """Do this process's part of a training; `fit` is this and reading what it left.

    Under torchrun or a cluster every process calls this, and only the first one goes on to read and to write.
    """
    if _is_done(job):
        return
    if job.recipe.training.optimizer == "lbfgs":
        if is_main_process():
            fit_linear(job, CHECKPOINT_NAME, on_epoch)
        return
    if job.on_trial:
        learn = partial(take_part, hardware=hardware, on_epoch=on_trial)
        if not hold_trial(job, learn, _first_says(job, hardware)).pays:
            if is_main_process():
                leave_as_begun(job, CHECKPOINT_NAME, on_epoch)
            return
    fabric = _fabric(job, hardware)
    if hardware.devices * hardware.num_nodes > 1 and not _launched_outside(hardware):
        _launch_spawned(fabric, job, on_epoch)
    else:
        fabric.launch(partial(fit_in_process, jobs=[job], on_epoch=lambda _, record: on_epoch(record)))


def _first_says(job: FitJob, hardware: Hardware) -> Callable[[Callable[[], Any]], Any]:
    """Return what calls a function in the first process and returns its answer in all that have been started."""
    if not _launched_outside(hardware):
        return lambda say: say()
    fabric = _fabric(job, hardware)
    fabric.launch()
    return lambda say: fabric.broadcast(say() if is_main_process() else None)


def _launched_outside(hardware: Hardware) -> bool:
    return "RANK" in os.environ or hardware.num_nodes > 1


def _fabric(job: FitJob, hardware: Hardware) -> "Fabric":
    """Return the processes of a training, not started yet."""
    # here and not above: it brings torch's compiler along, a second for all who only read, score or fit in one go
    from lightning_fabric import Fabric
    from lightning_fabric.strategies.ddp import DDPStrategy

    with quiet_loggers("lightning_fabric", level=logging.WARNING):  # its banners
        return Fabric(
            accelerator=hardware.device,
            devices=hardware.devices,
            num_nodes=hardware.num_nodes,
            # buffers are shared by SharedBatchNorm2d; DDP's own broadcast would wait for processes that hold no clip
            strategy=DDPStrategy(
                start_method="popen" if _launched_outside(hardware) else "spawn", broadcast_buffers=False
            )
            if hardware.devices * hardware.num_nodes > 1
            else "auto",
            precision=_precision(job, hardware.torch_device),
        )


def _precision(job: FitJob, device: torch.device) -> Literal["32-true", "bf16-mixed", "bf16-true", "64-true"]:
    """Return the number format of a training in Fabric's words.

    On a CPU, torch 2.11 to 2.13 returns memory that was never written for a convolution in bfloat16 whose answer is one
    frame wide: not a number, or any number. So a network with such a map learns in float32 unless told otherwise.
    """
    wished = job.recipe.training.precision
    if wished != "auto":
        return wished
    native = native_precision(device)
    if native == "bf16-mixed" and has_map_of_one_frame(build_classifier(job.recipe, job.n_labels, 0)):
        return "32-true"
    return native


def _launch_spawned(fabric: "Fabric", job: FitJob, on_epoch: OnEpoch) -> None:
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


def _spawned(fabric: "Fabric", job: FitJob, queue: Any) -> None:
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))  # the parent tells of Ctrl-C, once
    try:
        with quiet_loggers("lightning_fabric", level=logging.WARNING):  # its banners
            fit_in_process(fabric, [job], lambda _, record: queue.put(record))
    except SoundfoldError as error:
        queue.put(error)
        raise
