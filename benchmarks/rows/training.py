"""The rows of training: one epoch, a whole training, a cross-validation, each beside the tutorial and the floor."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from benchmarks.processes import Finished, probe
from benchmarks.results import OURS, Found
from benchmarks.rows.plan import Plan, Turn, Wanted, in_turns
from benchmarks.rows.tutorial import PEER, fastest, peer_rate

__all__ = ["cross_validation", "epoch", "training"]

Facts = dict[str, float | int | str]

_SPLIT = ("--random-split", "0.2")  # the tutorial's own
_FLOOR, _LAYERS = "floor", "its layers alone"
_WHOLE = "whole command"
_LIMITS = {
    "bytes_per_s": ("copy, GB/s", 1e9),
    "peak_float32": ("matrix product in float32, Gop/s", 1e9),
    "peak_bfloat16": ("matrix product in bfloat16, Gop/s", 1e9),
    "operations_per_clip": ("million operations a training clip", 1e6),
    "bytes_per_clip": ("kB of features a clip", 1e3),
    "activations_per_clip": ("kB that its layers hand on", 1e3),
}
_WANTED = (
    Wanted("training", "clips/s", "more"),
    Wanted(_WHOLE, "clips/s", "more"),
    Wanted("time in training", "s", "less"),
)


def epoch(plan: Plan) -> Found:
    """Time one epoch, as the mean over a short training."""
    n_train = _warm_up(plan)
    epochs = 1 if plan.quick else _enough(20_000, n_train)

    def ours() -> Turn:
        run = plan.space.train(plan.recipe, epochs, *_SPLIT)
        return Turn({"one epoch": {OURS: run.answer["train_s"] / epochs}}, run)

    def of_rate(rate: float) -> dict[str, float]:
        return {"one epoch": n_train / rate}

    facts: Facts = {"clips an epoch": n_train, "epochs a turn": epochs}
    return _measured(plan, ours, of_rate, [Wanted("one epoch", "s", "less")], facts)


def training(plan: Plan) -> Found:
    """Time a training: training clips over training time, and over the whole command, start and export included."""
    n_train = _warm_up(plan)
    epochs = _epochs(plan, 70_000, n_train)

    def ours() -> Turn:
        run = plan.space.train(plan.recipe, epochs, *_SPLIT)
        return Turn(_rates(run, n_train * epochs), run)

    return _measured(plan, ours, _same_rate, _WANTED, {"clips an epoch": n_train, "epochs": epochs})


def cross_validation(plan: Plan) -> Found:
    """Time a cross-validation over all folds: training clips of all folds over the time all of them took."""
    folds = plan.space.data.folds[:2] if plan.quick else plan.space.data.folds
    chosen = ["--folds", ",".join(folds)] if folds else []
    _warm_up(plan)
    epochs = _epochs(plan, 150_000, plan.space.data.clips * ((len(folds) or 5) - 1))
    notes: set[str] = set()

    def ours() -> Turn:
        run = plan.space.train(plan.recipe, epochs, *chosen, verb="cv")
        trained = sum(plan.space.data.clips - fold["n"] for fold in run.answer["folds"]) * epochs
        notes.update(_doubts(run, trained))
        return Turn(_rates(run, trained), run)

    found = _measured(plan, ours, _same_rate, _WANTED, {"folds": len(folds) or 5, "epochs": epochs})
    return replace(found, notes=[*found.notes, *sorted(notes)])


def _rates(run: Finished, trained: int) -> dict[str, dict[str, float]]:
    return {
        "training": {OURS: run.answer["clips_per_second"]},
        _WHOLE: {OURS: trained / run.seconds},
        "time in training": {OURS: run.answer["train_s"]},
    }


def _same_rate(rate: float) -> dict[str, float]:
    return {"training": rate, _WHOLE: rate}


def _doubts(run: Finished, trained: int) -> list[str]:
    """Return what does not fit together in a cross-validation's own account of its time."""
    told: dict[str, Any] = run.answer
    doubts = []
    if abs(told["clips_per_second"] * told["train_s"] / trained - 1) > 0.01:
        doubts.append("clips_per_second times train_s is not the number of clips trained on")
    if told["train_s"] > run.seconds:
        doubts.append("train_s is longer than the whole command, so it cannot be the time that passed")
    return doubts


def _epochs(plan: Plan, passes: int, n_train: int) -> int:
    """Return the epochs that were asked for; else the tutorial's on a GPU, or what a processor does in a minute."""
    if plan.epochs:
        return plan.epochs
    if plan.quick:
        return 1
    return 100 if plan.space.device.startswith("cuda") else _enough(passes, n_train)


def _enough(passes: int, n_train: int) -> int:
    """Return the epochs after which about so many training clips have been passed over."""
    return max(2, round(passes / n_train))


def _warm_up(plan: Plan) -> int:
    """Train for one epoch, so that features and all files are where they are wanted; return the training clips."""
    plan.space.ready(plan.recipe)
    return int(plan.space.train(plan.recipe, 1, *_SPLIT).answer["split"]["n_train"])


def _measured(
    plan: Plan,
    ours: Callable[[], Turn],
    of_rate: Callable[[float], dict[str, float]],
    wanted: Sequence[Wanted],
    facts: Facts,
) -> Found:
    """Let the tutorial, ours and the floor take turns.

    Args:
        plan: whose settings hold.
        ours: a turn of soundfold's.
        of_rate: clips a second → the measures they are told in.
        wanted: the measures.
        facts: what a reader should know of the row; the machine's limits join them.
    """
    workers, threads = fastest(plan)
    told: Facts = {**facts, "tutorial's settings": f"workers {workers}, threads {threads}"}

    def peer() -> Turn:
        run = peer_rate(plan)
        return Turn({name: {PEER: value} for name, value in of_rate(run.answer["clips_per_second"]).items()}, run)

    def limits() -> Turn:
        space = plan.space
        run = probe("limits", data=space.data.path, cache=space.cache, recipe=plan.recipe, device=space.device)
        floor, layers = (of_rate(run.answer[name]) for name in ("clips_per_second", "layers_clips_per_second"))
        found = {name: (run.answer[key], unit) for key, (name, unit) in _LIMITS.items()}
        told.update({name: value / unit for name, (value, unit) in found.items() if value is not None})
        limited = [name for name in floor if name != _WHOLE]  # of a start and an export there is no floor here
        return Turn({name: {_FLOOR: floor[name], _LAYERS: layers[name]} for name in limited}, run)

    found = in_turns(plan, {PEER: peer, OURS: ours, _FLOOR: limits}, wanted, plan.rounds)
    note = "The tutorial's rate is that of its steady work; neither its start nor that of its workers is counted."
    return Found(found.measures, {side: found.memory[side] for side in (PEER, OURS)}, told, [note])
