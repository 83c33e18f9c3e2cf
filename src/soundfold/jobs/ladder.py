"""`soundfold.ladder`: recipes from cheap to dear under the same folds, and whether dear beats cheap beyond chance."""

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from statistics import median

import numpy as np

from soundfold.atomic import plain_name, write_text
from soundfold.data.clips import check_trainable
from soundfold.data.reading import read_clips
from soundfold.data.splits import check_classes_left, fold_splits
from soundfold.errors import MissingExtraError, RecipeError, RunError
from soundfold.evaluation import CvResult
from soundfold.evaluation.comparison import correct_for_many
from soundfold.evaluation.comparison_result import Comparison
from soundfold.evaluation.ladder import LadderResult, LeftOutRung, Rung, cheapest_unbeaten, verdict
from soundfold.jobs.compare import FinishedRun, compare_two, read_run
from soundfold.jobs.cross_validate import cross_validate
from soundfold.jobs.ladder_rungs import Rungs, choose_rungs, continue_rungs, name_rungs_weights, why_not
from soundfold.jobs.majority import MAJORITY, majority_cross_validate
from soundfold.jobs.prepare import prepare
from soundfold.jobs.reporting import Reporter, SaidOnce, Silent
from soundfold.jobs.run_folder import begin, check_out, next_free
from soundfold.jobs.surroundings import hardware_line, versions
from soundfold.recipe import Recipe, load_recipe
from soundfold.runtime import load
from soundfold.runtime.run_mark import LADDER_NAME, MARK_NAME, identity_of
from soundfold.training import Hardware

__all__ = ["ladder"]

_LISTENS_S = 0.5  # in all, to a model file, for its latency
_LEAST_TIMES = 11


def ladder(
    data: str | Path,
    *,
    folds: Sequence[str | int] | None = None,
    epochs: int | None = None,
    seed: int = 0,
    only: Sequence[str | Path | Recipe] | None = None,
    weights: str | Path | None = None,
    device: str = "auto",
    jobs: int | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    where: Mapping[str, str] | None = None,
    cache: str | Path | None = None,
    reporter: Reporter | None = None,
) -> LadderResult:
    """Cross-validate every rung under the same folds, and compare them pair by pair of answers.

    Args:
        data: a data set's folder or table.
        folds: the folds to test on; None for all.
        epochs: for the rungs that learn in epochs; None for what each recipe says.
        seed: of every rung, and of the folds where the data set has none of its own.
        only: rungs to try: names of `LADDER`, of other presets, YAML files or recipes; None for all of `LADDER`.
        weights: file or folder of the published weights, for the rungs that take some and name none themselves.
        out: gets a run's folder a rung; None for the next free one under `runs/`.
        resume: continue the ladder in `out` if there is one, each rung by the recipe it was begun with; rungs that
            `only` names beside those are added to it.
        device, jobs, where, cache, reporter: as `soundfold.cross_validate`.

    Returns:
        scores and costs of each rung, what was left out and why, every pair's comparison, and the verdict.

    Raises:
        SoundfoldError: anything the user can mend. A rung whose weights or packages are missing is left out instead,
            but not where `weights` should hold them.
    """
    started = time.perf_counter()
    reporter = SaidOnce(reporter or Silent())
    rungs = choose_rungs(only, epochs, seed)
    if weights is not None:
        rungs = name_rungs_weights(rungs, weights, cache, reporter)
    if out is None and resume:
        raise RunError("--resume must be told which ladder to continue. Name its folder with --out")
    folder = Path(out) if out is not None else next_free(plain_name(f"{Path(data).absolute().stem}-ladder"))
    check_out(folder, resume=resume, reporter=reporter)
    if resume:
        rungs = continue_rungs(rungs, folder, reporter)
    asked = None if folds is None else [str(fold) for fold in folds]
    climb = _Climb(
        data=data, folds=asked, seed=seed, device=device, jobs=jobs, where=where, cache=cache, resume=resume,
        reporter=reporter,
    )  # fmt: skip
    clips = climb.check_data(rungs)
    identity = {
        "verb": "ladder", "data": str(Path(data).resolve()), "where": dict(where or {}), "folds": asked,
        "epochs": epochs, "seed": seed, "clips": clips,
    }  # fmt: skip
    if "verb" in (begun := identity_of(folder)) and "clips" not in begun:  # by an earlier version: its rungs will tell
        del identity["clips"]
    begin(folder, identity)
    runs, left_out = climb.all_of(rungs, folder)
    if not runs:
        raise RunError(f"no rung of {', '.join(rungs)} can be tried; {left_out[0].name}: {left_out[0].reason}")
    names, comparisons = [run.name for run in runs], _compared(runs, reporter)
    result = LadderResult(
        rungs=tuple(map(_rung, runs)),
        left_out=tuple(left_out),
        comparisons=comparisons,
        cheapest_unbeaten=cheapest_unbeaten(names, comparisons),
        sentence=verdict(names, comparisons),
        split=runs[0].result.split.name,
        seed=seed,
        seconds=time.perf_counter() - started,
        out=str(folder),
        versions=versions(),
        hardware=hardware_line(),
    )
    write_text(folder / LADDER_NAME, result.model_dump_json(indent=2) + "\n")
    return result


@dataclass(frozen=True, kw_only=True)
class _Climb:
    """What all rungs are tried with; each as in `ladder`."""

    data: str | Path
    folds: Sequence[str] | None
    seed: int
    device: str
    jobs: int | None
    where: Mapping[str, str] | None
    cache: str | Path | None
    resume: bool
    reporter: Reporter

    def check_data(self, rungs: Rungs) -> str:
        """Raise before any work if the data cannot be learned from under these folds, or rungs take it differently.

        Returns:
            a short hash of the clips, their labels, folds and recordings.
        """
        ways = {recipe.training.labels: name for name, recipe in rungs.items() if recipe is not None}
        kinds = {}
        for way, name in (ways or {"auto": MAJORITY}).items():
            clips = read_clips(self.data, where=self.where, labels=way)
            check_trainable(clips)
            check_classes_left(clips, fold_splits(clips, self.folds, seed=self.seed))
            kinds[clips.several] = name
        if len(kinds) > 1:
            raise RecipeError(
                f"rungs must agree on how many labels a clip bears, got one by {kinds[False]} and several by "
                f"{kinds[True]}. Set training.labels alike in their recipes"
            )
        # read as `auto` reads them, whichever rungs there are
        clips = read_clips(self.data, where=self.where, labels="auto")
        return hashlib.blake2b(clips.as_bytes(), digest_size=12).hexdigest()

    def all_of(self, rungs: Rungs, folder: Path) -> tuple[list[FinishedRun], list[LeftOutRung]]:
        """Cross-validate the rungs one after another, each in a folder of its name; what cannot be tried is left out.

        What lacks its weights is told before the first one begins; a package that is missing, at its turn.
        """
        reasons = {name: why_not(recipe, self.cache, self.reporter) for name, recipe in rungs.items()}
        left_out = [self._leave_out(name, reason) for name, reason in reasons.items() if reason is not None]
        able = {name: recipe for name, recipe in rungs.items() if reasons[name] is None}
        runs = []
        for name, recipe in able.items():
            self.reporter.note(f"rung {name}")
            place = folder / plain_name(name)
            try:
                if recipe is None:
                    self._majority(next(filter(None, able.values()), None) or load_recipe("mfcc"), place)
                else:
                    self._learn(recipe, place)
            except MissingExtraError as error:
                left_out.append(self._leave_out(name, str(error)))
            else:
                runs.append(read_run(place, name))
        return runs, left_out

    def _leave_out(self, name: str, reason: str) -> LeftOutRung:
        self.reporter.note(f"{name} is left out: {reason}")
        return LeftOutRung(name=name, reason=reason)

    def _learn(self, recipe: Recipe, folder: Path) -> None:
        if self.resume and folder.is_dir() and not (folder / MARK_NAME).exists() and any(folder.iterdir()):
            raise RunError(
                f"{folder}: has lost its {MARK_NAME}, so it cannot be continued. Remove that folder, and --resume "
                f"trains the rung again"
            )
        cross_validate(
            self.data, recipe=recipe, folds=self.folds, device=self.device, jobs=self.jobs, out=folder,
            where=self.where, cache=self.cache, resume=self.resume and (folder / MARK_NAME).exists(),
            reporter=self.reporter,
        )  # fmt: skip

    def _majority(self, recipe: Recipe, folder: Path) -> None:
        """Score the majority on the clips that another rung can hear, with its kept sounds and features."""
        prepared = prepare(
            self.data, recipe, self.reporter, where=self.where, cache=self.cache, check=lambda _: None,
            hardware=Hardware(self.device),
        )  # fmt: skip
        majority_cross_validate(prepared, self.folds, self.seed, self.where or {}, folder)


def _compared(runs: Sequence[FinishedRun], reporter: Reporter) -> tuple[Comparison, ...]:
    """Compare every dearer run with every cheaper one; of several labels a clip that may take a while."""
    pairs = list(combinations(runs, 2))
    found = []
    for a, b in pairs:
        found.append(compare_two(a, b, at_once=len(pairs)))
        reporter.progress("comparing", len(found), len(pairs))
    slim = {"clips_only_a_right": (), "clips_only_b_right": ()}
    return tuple(each.model_copy(update=slim) for each in correct_for_many(found))


def _rung(run: FinishedRun) -> Rung:
    """Return what a run reached and what it costs; files and latency are those of its first fold."""
    result, files = run.result, sorted(run.folder.glob("fold*/model.onnx"))
    assert isinstance(result, CvResult)
    return Rung(
        name=run.name,
        out=str(run.folder),
        accuracy_mean=result.accuracy_mean,
        accuracy_std=result.accuracy_std,
        accuracy_pooled=result.accuracy_pooled,
        accuracy_ci95=result.accuracy_ci95,
        mean_average_precision=result.mean_average_precision,
        mean_average_precision_std=result.mean_average_precision_std,
        mean_average_precision_pooled=result.mean_average_precision_pooled,
        mean_average_precision_ci95=result.mean_average_precision_ci95,
        macro_f1=result.macro_f1,
        folds=result.folds,
        n=result.n,
        train_s=result.train_s or 0.0,
        seconds=result.seconds,
        file_bytes=files[0].stat().st_size if files else None,
        latency_ms=_latency_ms(files[0]) if files else None,
    )


def _latency_ms(path: Path) -> float:
    """Return the median milliseconds of one window through a model file, which answers on one core."""
    model = load(path)
    window = np.random.default_rng(0).normal(0, 0.1, (1, model.card.channels, model.card.window)).astype(np.float32)
    for _ in range(3):  # the first ones make room
        model.probabilities(window)
    taken: list[float] = []
    while len(taken) < _LEAST_TIMES or sum(taken) < _LISTENS_S:
        started = time.perf_counter()
        model.probabilities(window)
        taken.append(time.perf_counter() - started)
    return 1000 * median(taken)
