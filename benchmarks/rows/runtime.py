"""The row of the runtime: what answering takes by soundfold's model file, beside torch on the same weights."""

from collections.abc import Callable
from typing import Any

from benchmarks.answering import EAGER
from benchmarks.processes import probe
from benchmarks.results import OURS, Found, Measure
from benchmarks.rows.plan import Plan, Turn, Wanted, in_turns
from soundfold.cores import usable_cores

__all__ = ["runtime"]

_TORCH = "torch, eager"
_CLIPS_A_CORE = 1_200


def runtime(plan: Plan) -> Found:
    """Measure installation, start, one window, and many files over cores, for both ways to answer by one run."""
    run = plan.space.model(plan.recipe)
    labels = probe("load_runtime", run=run).answer["labels"]
    cores = usable_cores()
    times = 10 if plan.quick else 100
    clips = 64 if plan.quick else _CLIPS_A_CORE
    counts = sorted({1, cores})

    def side(name: str, suffix: str, packages: tuple[str, ...], **settings: Any) -> Callable[[], Turn]:
        def taken() -> Turn:
            told: dict[str, float] = {}
            size = probe("installed", packages=packages).answer
            told["installed"] = size["bytes"] / 1e6
            loaded = probe(f"load_{suffix}", run=run, **settings)
            told["start and load, whole process"] = loaded.seconds
            told["memory, model open"] = loaded.largest_mb
            one = probe(f"window_{suffix}", run=run, cores=1, times=times, **settings)
            told["one window, one core"] = 1e3 * one.answer["seconds"]
            told["real-time factor, one core"] = one.answer["seconds"] / one.answer["window_s"]
            for count in counts:
                asked = settings | {"data": plan.space.data.path, "clips": clips * count, "cores": count}
                told[_many(count)] = probe(f"rate_{suffix}", run=run, **asked).answer["clips_per_second"]
            return Turn({measure: {name: value} for measure, value in told.items()}, one)

        return taken

    wanted = [
        Wanted("installed", "MB", "less"),
        Wanted("start and load, whole process", "s", "less"),
        Wanted("memory, model open", "MB", "less"),
        Wanted("one window, one core", "ms", "less"),
        Wanted("real-time factor, one core", "", "less"),
        *(Wanted(_many(count), "clips/s", "more") for count in counts),
    ]
    turns = {
        OURS: side(OURS, "runtime", ("soundfold",)),
        _TORCH: side(_TORCH, "eager", EAGER, labels=labels),
    }
    found = in_turns(plan, turns, wanted, plan.rounds)
    shares: dict[str, float | int | str] = {
        f"{name}: all cores, of cores × one core": ", ".join(f"{100 * share:.1f} %" for share in shares_of_turns)
        for name in turns
        if (shares_of_turns := _shares(found.measures, name, cores))
    }
    notes = [
        "Both answer by the weights of one run; one window is a waveform of the model's length at its rate, and many "
        "files are decoded, resampled and answered for. One core is one that the whole process is bound to. torch gets "
        "batches of 16, the next of which threads decode meanwhile; what it needs is counted as torch, its sound "
        "libraries and the readers of weights and recipes. The sizes are of the packages as they lie on this disk."
    ]
    return Found(found.measures, found.memory, shares, notes)


def _many(cores: int) -> str:
    return f"many files, {cores} {'core' if cores == 1 else 'cores'}"


def _shares(measures: list[Measure], side: str, cores: int) -> list[float]:
    """Return, turn by turn, the rate on all cores as a share of so many times the rate on one; none with one core."""
    rates = {one.name: one.sides[side] for one in measures if one.name in (_many(1), _many(cores))}
    if len(rates) < 2:
        return []
    return [every / (cores * one) for one, every in zip(rates[_many(1)], rates[_many(cores)], strict=True)]
