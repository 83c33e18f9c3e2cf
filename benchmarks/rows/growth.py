"""The row of growing costs: the same work on ever larger tables, over ever more epochs, over ever more folds."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.processes import Finished, probe, soundfold
from benchmarks.results import Found
from benchmarks.rows.plan import Plan
from benchmarks.timing import spread
from benchmarks.workspace import growth_tables

__all__ = ["growth", "growth_sizes"]

_SMALLEST = 1_000
_EPOCHS = 2
_EPOCH_COUNTS = (2, 4, 8, 16)
_FOLD_COUNTS = (2, 4, 8)


def growth_sizes(most: int) -> list[int]:
    """Return the sizes of the tables: half a dozen at most, evenly spread in logarithm, multiples of 1,000.

    >>> growth_sizes(8_000), growth_sizes(100_000)
    ([1000, 2000, 4000, 8000], [1000, 3000, 10000, 32000, 100000])
    """
    steps = 4 if most <= 10 * _SMALLEST else 5
    ratio = (most / _SMALLEST) ** (1 / (steps - 1))
    return sorted({round(ratio**power) * _SMALLEST for power in range(steps)})


def growth(plan: Plan) -> Found:
    """Measure times and memory at each size, each once: the spread to look at is that of the fitted exponent."""
    sizes = [200, 400] if plan.quick else growth_sizes(plan.growth_to)
    tables = growth_tables(plan.space.folder.parent, sizes, plan.growth_length_s)
    costs: dict[str, list[float]] = {}
    memory: dict[str, list[float]] = {}
    for size, table in zip(sizes, tables, strict=True):
        for name, (seconds, finished) in _at_size(plan, table).items():
            costs.setdefault(name, []).append(seconds)
            memory.setdefault(name, []).append(finished.largest_mb)
            plan.tell(f"    {size:,} clips, {name}: {seconds:.3f} s, {finished.largest_mb:.0f} MB")
    grown = {"clips": {"sizes": sizes, "costs": costs, "memory": memory}, **_on_one_table(plan, tables[0])}
    note = (
        f"Mono clips of {plan.growth_length_s:g} s. A table holds {sizes[0]:,} clips again and again, each copy a file "
        f"of its own with other last samples. One epoch is the mean of {_EPOCHS}; the second start is the median of "
        f"three."
    )
    facts: dict[str, float | int | str] = {"seconds of a clip": plan.growth_length_s}
    return Found([], {}, facts, [note], grown)


def _at_size(plan: Plan, table: Path) -> dict[str, tuple[float, Finished]]:
    """Return by name the seconds that each step took on a table, and its process."""
    device, changes = plan.space.device, _changes(plan)
    with plan.space.scratch("growth") as folder:
        asked = {"data": table, "cache": folder / "cache", "recipe": plan.recipe, "changes": changes}
        store = probe("store", **asked)
        features = probe("features", **asked, device=device)
        starts = [probe("second_start", **asked) for _ in range(3)]
        trained = _train(plan, table, folder, "train", _EPOCHS)
        evaluated = soundfold("evaluate", folder / "train", table, "--json")
    return {
        "building the store": (store.answer["seconds"], store),
        "features": (features.answer["seconds"], features),
        "second start": (spread([start.answer["seconds"] for start in starts]).median, starts[-1]),
        "one epoch": (trained.answer["train_s"] / _EPOCHS, trained),
        "evaluation": (evaluated.answer["seconds"], evaluated),
    }


def _on_one_table(plan: Plan, table: Path) -> dict[str, Any]:
    """Return what training costs over more epochs and over more folds, start and export apart."""
    epochs = _EPOCH_COUNTS[:2] if plan.quick else _EPOCH_COUNTS
    folds = _FOLD_COUNTS[:2] if plan.quick else _FOLD_COUNTS
    with plan.space.scratch("growth") as folder:
        _train(plan, table, folder, "warm-up", 1)
        over_epochs = [_train(plan, table, folder, f"epochs{count}", count) for count in epochs]
        over_folds = [_train(plan, table, folder, f"folds{count}", _EPOCHS, count) for count in folds]
    return {
        "epochs": _one_cost(plan, "training", epochs, [run.answer["train_s"] for run in over_epochs]),
        "folds": _one_cost(plan, "cross-validation", folds, [run.answer["seconds"] for run in over_folds]),
    }


def _one_cost(plan: Plan, name: str, sizes: Sequence[int], seconds: list[float]) -> dict[str, Any]:
    plan.tell(f"    {name} over {', '.join(map(str, sizes))}: {', '.join(f'{value:.2f} s' for value in seconds)}")
    return {"sizes": list(sizes), "costs": {name: seconds}, "memory": {}}


def _train(plan: Plan, table: Path, folder: Path, name: str, epochs: int, folds: int | None = None) -> Finished:
    verb = ["train"] if folds is None else ["cv", "--folds", ",".join(str(fold) for fold in range(1, folds + 1))]
    verb.insert(1, str(table))
    settings = [part for change in _changes(plan) for part in ("--set", change)]
    return soundfold(
        *verb, "--recipe", plan.recipe, "--epochs", str(epochs), *settings, "--device", plan.space.device,
        "--out", folder / name, "--cache", folder / "cache", "--json",
    )  # fmt: skip


def _changes(plan: Plan) -> list[str]:
    return [f"sound.length_s={plan.growth_length_s:g}"]
