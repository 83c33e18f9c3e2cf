"""The rows of answering: evaluation of labelled sounds, one prediction cold and warm, and the help."""

from collections.abc import Callable

from benchmarks.processes import Finished, probe, python, soundfold
from benchmarks.results import OURS, Found
from benchmarks.rows.plan import Plan, Turn, Wanted, in_turns
from benchmarks.rows.tutorial import PEER, fastest, peer_rate
from soundfold.cores import usable_cores

__all__ = ["cold_help", "evaluation", "prediction"]

_SAMPLE_RATE = 44_100
_FLOOR = "floor"
_LIBRARIES = "numpy, onnxruntime, soundfile, soxr"


def evaluation(plan: Plan) -> Found:
    """Score a model on one fold from its files, as `soundfold evaluate` does, beside the tutorial's second pass."""
    data, model = plan.space.data, plan.space.model()
    fold = data.folds[-1] if data.folds else None
    chosen = [] if fold is None else ["--fold", fold]
    answer_s = _answer_s(plan)

    def ours() -> Turn:
        done = soundfold("evaluate", model, data.path, *chosen, "--json")
        values = {"evaluation": done.answer["clips_per_second"], "whole command": done.answer["n"] / done.seconds}
        return Turn({name: {OURS: value} for name, value in values.items()}, done)

    def peer() -> Turn:
        done = peer_rate(plan, "evaluation")
        rate = done.answer["clips_per_second"]
        return Turn({name: {PEER: rate} for name in ("evaluation", "whole command")}, done)

    def floor() -> Turn:
        done = probe("decode", data=data.path, sample_rate=_SAMPLE_RATE, fold=fold)
        seconds = done.answer["seconds"] + answer_s * done.answer["clips"]
        return Turn({"evaluation": {_FLOOR: done.answer["clips"] / seconds}}, done)

    floor()
    wanted = [Wanted("evaluation", "clips/s", "more"), Wanted("whole command", "clips/s", "more")]
    found = in_turns(plan, {PEER: peer, OURS: ours, _FLOOR: floor}, wanted, plan.rounds)
    workers, threads = fastest(plan, "evaluation")
    facts: dict[str, float | int | str] = {
        "fold": fold or "all clips",
        "tutorial's settings": f"workers {workers}, threads {threads}",
    }
    note = (
        "The model file runs on the processor through onnxruntime, whatever the training's device. The floor is "
        "soundfile and soxr alone on all cores, and the spectrogram's and the network's operations at the peak."
    )
    return Found(found.measures, {side: found.memory[side] for side in (PEER, OURS)}, facts, [note])


def prediction(plan: Plan) -> Found:
    """Answer for one clip: cold, as a whole process, and warm, in a process that has the model open."""
    space = plan.space
    model, clip = space.model(), space.data.first
    answer_s = _answer_s(plan)
    times = 10 if plan.quick else 50
    with space.scratch("predict") as folder:
        weights = folder / "tutorial.pt"
        probe("peer_weights", classes=10, path=weights)

        def cold_peer() -> Turn:
            done = python("-m", "benchmarks.peer", weights, clip)
            return Turn({"cold, whole process": {PEER: done.seconds}}, done)

        def cold_ours() -> Turn:
            done = soundfold("predict", model, clip, "--json")
            return Turn({"cold, whole process": {OURS: done.seconds}}, done)

        def cold_libraries() -> Turn:
            done = python("-c", f"import {_LIBRARIES}")
            return Turn({"cold, whole process": {f"import {_LIBRARIES}": done.seconds}}, done)

        def warm_peer(threads: int) -> Callable[[], Turn]:
            name = f"{PEER}, threads: {threads}"

            def turn() -> Turn:
                done = probe("peer_predict", weights=weights, path=clip, threads=threads, times=times)
                return Turn({"warm, model open": {name: 1e3 * done.answer["seconds"]}}, done)

            return turn

        def warm_ours() -> Turn:
            done = probe("predict", model=model, path=clip, times=times)
            return Turn({"warm, model open": {OURS: 1e3 * done.answer["seconds"]}}, done)

        def warm_floor() -> Turn:
            done = probe("decode_one", path=clip, sample_rate=_SAMPLE_RATE, times=times)
            return Turn({"warm, model open": {_FLOOR: 1e3 * (done.answer["seconds"] + answer_s)}}, done)

        cold_peer()
        cold_ours()
        cold = {PEER: cold_peer, OURS: cold_ours, f"import {_LIBRARIES}": cold_libraries}
        rounds = 2 if plan.quick else max(plan.rounds, 7)
        first = in_turns(plan, cold, [Wanted("cold, whole process", "s", "less")], rounds)
        warm = {f"{PEER}, threads: {threads}": warm_peer(threads) for threads in sorted({1, usable_cores()})}
        warm |= {OURS: warm_ours, _FLOOR: warm_floor}
        then = in_turns(plan, warm, [Wanted("warm, model open", "ms", "less")], plan.rounds)
    note = (
        "Cold means a new process; its files are in the system's page cache. The tutorial has no such command: it is a "
        "script of its lines, from weights and one clip to the class. A warm turn is the median of its answers. The "
        "warm floor is decoding and resampling alone, and the operations at the peak of all cores."
    )
    memory = {side: first.memory[side] for side in (PEER, OURS)}
    return Found(first.measures + then.measures, memory, {"answers a warm turn": times}, [note])


def cold_help(plan: Plan) -> Found:
    """Print the help, as a whole process, beside Python alone and beside the command-line library alone."""

    def turn(side: str, work: Callable[[], Finished]) -> Callable[[], Turn]:
        def taken() -> Turn:
            done = work()
            return Turn({"help, whole process": {side: done.seconds}}, done)

        return taken

    sides: dict[str, Callable[[], Finished]] = {
        OURS: lambda: soundfold("--help"),
        "python -c pass": lambda: python("-c", "pass"),
        "import typer, rich": lambda: python("-c", "import typer, rich.console"),
    }
    for work in sides.values():
        work()
    turns = {side: turn(side, work) for side, work in sides.items()}
    rounds = 2 if plan.quick else max(plan.rounds, 9)
    found = in_turns(plan, turns, [Wanted("help, whole process", "s", "less")], rounds)
    return Found(found.measures, {OURS: found.memory[OURS]})


def _answer_s(plan: Plan) -> float:
    """Return the seconds that one clip's spectrogram and network would take at the peak of the processor."""
    space = plan.space
    space.ready("tutorial")
    told = probe("limits", data=space.data.path, cache=space.cache, recipe="tutorial")
    return float(told.answer["answer_s"])
