"""The training loop, on Lightning Fabric: any number of devices and nodes, one seed, one result.

Every process draws the random numbers of the WHOLE batch from the same generator and works on its share, gradients are
those of the whole batch, and batch normalisation is shared, so the number of processes does not change what is learned.
Several trainings may share a process and its epochs; what is done in an epoch is `_train_epoch`'s, or a `Stack`'s.
"""

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from soundfold.errors import DataError, RunError
from soundfold.training.anchoring import Anchor
from soundfold.training.averaging import WeightAverage
from soundfold.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from soundfold.training.epoch import batch_bounds, epoch_chance, epoch_generator, hear, plan_epoch, step_bounds
from soundfold.training.feature_cache import FeatureCache, open_feature_cache
from soundfold.training.feature_source import Source, source_of
from soundfold.training.fitted_start import begin_classifier, heard_windows
from soundfold.training.fitting import FitJob, Fitting
from soundfold.training.history import EpochRecord, History, epoch_record
from soundfold.training.host import keep_freed_memory
from soundfold.training.optimisers import build_optimizer
from soundfold.training.schedules import build_schedule
from soundfold.training.scoring import clip_probabilities, held_out_scores
from soundfold.training.shared_norm import share_batch_norm
from soundfold.training.stages import freeze_stages
from soundfold.training.together import Stack, can_stand_in_a_stack
from soundfold.training.wave_windows import Sounds, open_sounds
from soundfold.training.wide_norm import widen_batch_norm

if TYPE_CHECKING:
    from lightning_fabric import Fabric  # `launch` says why not above

__all__ = ["CHECKPOINT_NAME", "FitJob", "batch_bounds", "epoch_generator", "fit_in_process"]

CHECKPOINT_NAME = "checkpoint.safetensors"
_CHECKPOINT_EVERY_S = 2.0


def fit_in_process(fabric: "Fabric", jobs: Sequence[FitJob], on_epoch: Callable[[int, EpochRecord], None]) -> None:
    """Train in one process of possibly many; the last checkpoint in each run's folder is the result.

    Args:
        fabric: the process's part of the devices.
        jobs: what to train; more than one differ in clips, seeds and folders, and in nothing else.
        on_epoch: called after each epoch with a job's position and its record.

    Raises:
        DataError: the loss is no longer a number.
        RunError: a folder's checkpoint is damaged.
    """
    settings = jobs[0].recipe.training
    keep_freed_memory()
    fittings = _begin_all(fabric, jobs)
    writes = fabric.is_global_zero
    # the same answer every time and on every path, on a GPU too; leaves the caller's own settings alone
    with (
        torch.backends.cudnn.flags(
            enabled=torch.backends.cudnn.enabled, deterministic=True, benchmark=False, allow_tf32=False
        ),
        ExitStack() as open_,
    ):
        histories = [
            open_.enter_context(History(one.job.folder, one.records, several=one.job.several))
            for one in fittings
            if writes
        ]
        saved_at = time.monotonic()
        for members, epochs in _rounds(fittings, settings.epochs):
            learning = [fittings[member] for member in members]
            train_epoch = _epoch_trainer(fabric, learning)
            for epoch in epochs:
                records = _run_epoch(fabric, learning, epoch, train_epoch)
                if not writes:
                    continue
                for member, record in zip(members, records, strict=True):
                    histories[member].add(record)
                    on_epoch(member, record)
                if time.monotonic() - saved_at > _CHECKPOINT_EVERY_S or epoch == settings.epochs:
                    for member in members:
                        checkpoint = fittings[member].checkpoint(histories[member].records)
                        save_checkpoint(checkpoint, jobs[member].folder / CHECKPOINT_NAME)
                    saved_at = time.monotonic()
    fabric.barrier()


def _rounds(fittings: Sequence[Fitting], epochs: int) -> Iterator[tuple[list[int], range]]:
    """Yield who trains together in which epochs: those that a kill left behind catch up first."""
    starts = sorted({fitting.done for fitting in fittings})
    for start, stop in pairwise([*starts, epochs]):
        members = [member for member, fitting in enumerate(fittings) if fitting.done <= start]
        yield members, range(start + 1, stop + 1)


def _epoch_trainer(fabric: "Fabric", fittings: Sequence[Fitting]) -> Callable[[int], list[tuple[float, float]]]:
    """Return what trains some fittings for an epoch and tells each one's mean loss and share of right answers.

    A stack's steps need nothing of the host, so that a GPU can replay them. On a CPU one training alone is quicker
    step by step, as are several processes, which meet in every step.
    """
    precision = fabric.strategy.precision.precision
    gains = fabric.device.type == "cuda" or len(fittings) > 1
    if gains and fabric.world_size == 1 and can_stand_in_a_stack(fittings, precision):
        return Stack(fittings, fabric.device, mixed=precision == "bf16-mixed").train_epoch
    return lambda epoch: [_train_epoch(fabric, fitting, epoch) for fitting in fittings]


def _begin_all(fabric: "Fabric", jobs: Sequence[FitJob]) -> list[Fitting]:
    """Build what the trainings need, or restore it; jobs on the same features share them."""
    kept: dict[Path, tuple[FeatureCache, Source, Sounds | None]] = {}
    for job in jobs:
        if job.features not in kept:
            cache = open_feature_cache(job.features)
            sounds = _sounds_of(job, cache, fabric.device)
            kept[job.features] = cache, source_of(cache, fabric.device), sounds
    return [_begin(fabric, job, *kept[job.features]) for job in jobs]


def _sounds_of(job: FitJob, cache: FeatureCache, device: torch.device) -> Sounds | None:
    """Return the waveforms of a training that varies them; None for one that varies kept features."""
    if job.recipe.augment.domain != "waveform":
        return None
    if job.store is None:
        raise ValueError("store must be given where augment.domain = waveform, got None. Give FitJob its store")
    return open_sounds(job.store, cache, job.backgrounds, job.recipe.sound.window, device)


def _begin(fabric: "Fabric", job: FitJob, cache: FeatureCache, source: Source, sounds: Sounds | None) -> Fitting:
    """Build what a training needs, or restore it from the run's checkpoint."""
    first, count = heard_windows(job, cache)
    path = job.folder / CHECKPOINT_NAME
    classifier = begin_classifier(job, cache, fitted=not path.exists())
    if fabric.world_size > 1:
        share_batch_norm(classifier)
    elif fabric.device.type == "cpu":
        mixed = fabric.strategy.precision.precision == "bf16-mixed"
        widen_batch_norm(classifier, torch.bfloat16 if mixed else torch.float32)
    layout = _layout(fabric)
    classifier.network.to(memory_format=layout)  # type: ignore[call-overload]
    settings = job.recipe.training
    frozen = freeze_stages(classifier.network, settings.freeze)
    plain = build_optimizer(classifier.network, job.recipe)
    bounds = batch_bounds(len(job.train), settings.batch_size)
    scheduler = build_schedule(plain, job.recipe, len(set(step_bounds(bounds, settings.accumulate))))
    with warnings.catch_warnings():
        # our DDP broadcasts no buffers; torch means to do without them altogether, and says so
        warnings.filterwarnings("ignore", message=".*broadcast_buffers.*")
        network, optimizer = fabric.setup(classifier.network, plain)
    classifier.standardise.to(fabric.device)
    fitting = Fitting(job, cache, source, first, count, classifier, layout, network, optimizer, scheduler, records=[])
    fitting.frozen, fitting.sounds = frozen, sounds
    if settings.average:
        fitting.average = WeightAverage(classifier.network, settings.average)
    if settings.anchor:
        fitting.anchor = Anchor(classifier.network, settings.anchor)
    if sounds is not None:
        classifier.features.to(fabric.device)
    if path.exists():
        _restore(load_checkpoint(path), path, fitting)
    return fitting


def _layout(fabric: "Fabric") -> torch.memory_format:
    """Return the memory format of batches: channels-last, which cuDNN would undo again in float32."""
    plain = fabric.device.type == "cuda" and fabric.strategy.precision.precision == "32-true"
    return torch.contiguous_format if plain else torch.channels_last


def _train_epoch(fabric: "Fabric", fitting: Fitting, epoch: int) -> tuple[float, float]:
    """Learn from every training clip once; return mean loss and share of right answers, as they were on the way.

    Each process works on its share of each batch. The factor of its summed loss makes the mean over processes (which
    Fabric takes of the gradients) the mean over the whole step, even where the last batch does not divide evenly.
    """
    settings = fitting.job.recipe.training
    fitting.train()
    plan = plan_epoch(fitting, epoch, fabric.device)
    shares = [slice(start + fabric.global_rank, stop, fabric.world_size) for start, stop in plan.bounds]
    # summed on the device: reading a value in every step would make the device wait for the host
    loss_sum = torch.zeros((), device=fabric.device)
    right = torch.zeros((), device=fabric.device)
    steps = step_bounds(plan.bounds, settings.accumulate)
    batches = zip(hear(fitting, plan, shares), plan.bounds, steps, strict=True)
    with epoch_chance(settings.seed, epoch, fabric.global_rank, fabric.device):
        for (features, *told), (start, stop), (begin, end) in batches:
            if start == begin:
                fitting.optimizer.zero_grad()
            losses, hits = fitting.judge(fitting.network(features).float(), *told)
            fabric.backward(losses * (fabric.world_size / (end - begin)))
            if stop == end:
                fitting.step()
            loss_sum += losses.detach()
            right += hits
    loss, accuracy = _summed(fabric, torch.stack([loss_sum, right])) / len(fitting.job.train)
    return float(loss), float(accuracy)


def _run_epoch(
    fabric: "Fabric", fittings: Sequence[Fitting], epoch: int, train_epoch: Callable[[int], list[tuple[float, float]]]
) -> list[EpochRecord]:
    """Train for an epoch, look at the held-out clips where that is due, and return what is told of each fitting."""
    settings = fittings[0].job.recipe.training
    started = time.perf_counter()
    rates = [fitting.optimizer.param_groups[0]["lr"] for fitting in fittings]
    told = train_epoch(epoch)
    train_s = time.perf_counter() - started
    due = epoch % settings.validate_every == 0 or epoch == settings.epochs
    records = []
    for fitting, lr, (loss, accuracy) in zip(fittings, rates, told, strict=True):
        if not np.isfinite(loss):
            raise DataError(
                f"the loss must stay a number, got {loss} in epoch {epoch}. Lower training.lr (now {settings.lr:g})"
            )
        held_out = _look(fabric, fitting) if due and len(fitting.job.held_out) else (None, None)
        records.append(epoch_record(epoch, (loss, accuracy), held_out, lr, train_s, several=fitting.job.several))
    return records


def _restore(checkpoint: Checkpoint, path: Path, fitting: Fitting) -> None:
    try:
        fitting.classifier.load_state_dict(checkpoint.model)
        fitting.optimizer.load_state_dict(checkpoint.optimizer)
        if fitting.average is not None:
            fitting.average.restore(checkpoint.average)
        if fitting.anchor is not None:
            fitting.anchor.restore(checkpoint.start)
    except (RuntimeError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0]
        raise RunError(f"{path}: does not fit this recipe's network ({reason}). Choose another --out") from None
    for parameter, moments in fitting.optimizer.state.items():
        for name, value in moments.items():
            if value.shape == parameter.shape:
                # in the parameter's own order in memory, which a file does not keep and a fused step takes for granted
                moments[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
    fitting.scheduler.load_state_dict(checkpoint.scheduler)
    fitting.records = [EpochRecord(**record) for record in checkpoint.history]  # type: ignore[arg-type]


def _look(fabric: "Fabric", fitting: Fitting) -> tuple[float, float]:
    """Return mean loss and accuracy of the held-out clips; of several labels the mean average precision."""
    job = fitting.job
    fitting.network.eval()
    mine = slice(fabric.global_rank, None, fabric.world_size)
    found = np.zeros((len(job.held_out), job.n_labels))
    if len(job.held_out[mine]):
        with fitting.as_result():
            found[mine] = clip_probabilities(
                fitting.classify, fitting.cache, job.held_out[mine], fabric.device, fitting.source,
                several=job.several,
            )  # fmt: skip
    whole = _summed(fabric, torch.from_numpy(found)) if fabric.world_size > 1 else found
    return held_out_scores(whole, job.held_out_labels)


def _summed(fabric: "Fabric", values: Tensor) -> np.ndarray:
    """Return values summed over all processes."""
    total = fabric.all_reduce(values.double().to(fabric.device), reduce_op="sum") if fabric.world_size > 1 else values
    assert isinstance(total, Tensor)
    return total.double().cpu().numpy()
