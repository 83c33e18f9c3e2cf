"""The rows of starting: building the store from files, and opening it again."""

import shutil

from benchmarks.processes import probe
from benchmarks.results import OURS, Found, Measure
from benchmarks.rows.plan import Plan, Turn, Wanted, in_turns

__all__ = ["second_start", "store"]

_SAMPLE_RATE = 44_100
_DECODERS, _DISK, _STAT = "soundfile and soxr alone", "writing to the disk alone", "asking for each file's times"


def store(plan: Plan) -> Found:
    """Build the store from nothing, beside the decoders alone and beside the disk alone."""
    data = plan.space.data
    facts: dict[str, float | int | str] = {}
    features: list[float] = []
    with plan.space.scratch("store") as folder:
        asked = {"data": data.path, "cache": folder / "cache", "recipe": plan.recipe}

        def ours() -> Turn:
            shutil.rmtree(folder / "cache", ignore_errors=True)
            run = probe("store", **asked)
            facts["MB stored"] = round(run.answer["bytes"] / 2**20)
            return Turn({"store": {OURS: run.answer["clips"] / run.answer["seconds"]}}, run)

        def decoders() -> Turn:
            run = probe("decode", data=data.path, sample_rate=_SAMPLE_RATE)
            return Turn({"store": {_DECODERS: run.answer["clips"] / run.answer["seconds"]}}, run)

        def disk() -> Turn:
            run = probe("disk", folder=folder, megabytes=64 if plan.quick else 1024)
            a_clip = float(facts["MB stored"]) * 2**20 / data.clips
            facts["disk, MB/s"] = round(run.answer["bytes_per_s"] / 2**20)
            return Turn({"store": {_DISK: run.answer["bytes_per_s"] / a_clip}}, run)

        decoders()  # reads every file once, so that no round pays for the first reading
        turns = {_DECODERS: decoders, OURS: ours, _DISK: disk}
        found = in_turns(plan, turns, [Wanted("store", "clips/s", "more")], plan.rounds)
        last = probe("features", **asked, device=plan.space.device)
        features.append(last.answer["clips"] / last.answer["seconds"])
        facts["MB of features"] = round(last.answer["bytes"] / 2**20)
    measures = [*found.measures, Measure("features, after the store", "clips/s", "more", {OURS: features})]
    return Found(measures, {OURS: found.memory[OURS]}, facts)


def second_start(plan: Plan) -> Found:
    """Open data, store and features that are all there, beside the least that tells whether they still hold."""
    space = plan.space
    space.ready(plan.recipe)
    facts: dict[str, float | int | str] = {}

    def ours() -> Turn:
        run = probe("second_start", data=space.data.path, cache=space.cache, recipe=plan.recipe)
        told = run.answer
        facts.update({f"of it {name}, s": told[f"{name}_s"] for name in ("read", "store", "features")})
        values = {"second start": told["seconds"], "imports": told["imports_s"], "whole process": run.seconds}
        return Turn({name: {OURS: value} for name, value in values.items()}, run)

    def files() -> Turn:
        run = probe("look_at_files", data=space.data.path)
        return Turn({"second start": {_STAT: run.answer["seconds"]}}, run)

    wanted = [Wanted("second start", "s", "less"), Wanted("imports", "s", "less"), Wanted("whole process", "s", "less")]
    found = in_turns(plan, {OURS: ours, _STAT: files}, wanted, max(plan.rounds, 2 if plan.quick else 5))
    note = "The tutorial keeps nothing, so it has no second start: it decodes every clip again in every epoch."
    return Found(found.measures, {OURS: found.memory[OURS]}, facts, [note])
