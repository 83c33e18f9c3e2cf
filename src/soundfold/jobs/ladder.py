"""`soundfold.ladder`: recipes from cheap to dear under the same folds, and whether dear beats cheap beyond chance."""

import json
import time
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from statistics import median

import numpy as np

from soundfold.atomic import plain_name, write_text
from soundfold.data.clips import check_trainable, refuse_several
from soundfold.data.reading import read_clips
from soundfold.data.splits import check_classes_left, fold_splits
from soundfold.errors import DownloadError, MissingExtraError, PathError, RecipeError, RunError
from soundfold.evaluation import CvResult, known
from soundfold.evaluation.comparison import compare_predictions, correct_for_many
from soundfold.evaluation.comparison_result import Comparison
from soundfold.evaluation.ladder import LadderResult, LeftOutRung, Rung, cheapest_unbeaten, verdict
from soundfold.jobs.compare import FinishedRun, read_run
from soundfold.jobs.cross_validate import cross_validate
from soundfold.jobs.majority import MAJORITY, majority_cross_validate
from soundfold.jobs.prepare import prepare
from soundfold.jobs.pretrained import pretrained_weights
from soundfold.jobs.reporting import Reporter, Silent
from soundfold.jobs.run_folder import check_out, next_free
from soundfold.jobs.surroundings import hardware_line, versions
from soundfold.models.pretrained import PUBLISHED, load_efficientat
from soundfold.recipe import Recipe, load_recipe, name_weights, preset_names, published_network
from soundfold.runtime import load
from soundfold.training import Hardware

__all__ = ["LADDER", "ladder"]

LADDER = (MAJORITY, "mfcc", "texture", "tutorial", "probe", "scratch", "finetune")
"""The rungs from cheap to dear; those that are no preset of this version are passed over."""

RESULT_NAME = "ladder.json"
_LISTENS_S = 0.5
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
        resume: continue the ladder in `out` if there is one; rungs may be added to it.
        device, jobs, where, cache, reporter: as `soundfold.cross_validate`.

    Returns:
        scores and costs of each rung, what was left out and why, every pair's comparison, and the verdict.

    Raises:
        SoundfoldError: anything the user can mend. A rung whose weights or packages are missing is left out instead,
            but not where `weights` should hold them.
    """
    started = time.perf_counter()
    reporter = _SaidOnce(reporter or Silent())
    recipes = _rungs(only, epochs, seed)
    if weights is not None:
        recipes = _with_weights(recipes, weights, cache, reporter)
    asked = None if folds is None else [str(fold) for fold in folds]
    if out is None and resume:
        raise RunError("--resume must be told which ladder to continue. Name its folder with --out")
    folder = Path(out) if out is not None else next_free(plain_name(f"{Path(data).absolute().stem}-ladder"))
    check_out(folder, resume=resume, reporter=reporter)
    clips = read_clips(data, where=where)
    refuse_several(clips, "soundfold ladder")
    check_trainable(clips)
    check_classes_left(clips, fold_splits(clips, asked, seed=seed))
    _begin(folder, {
        "verb": "ladder", "data": str(Path(data).resolve()), "where": dict(where or {}), "folds": asked,
        "epochs": epochs, "seed": seed,
    })  # fmt: skip
    left_out, able = [], []
    for name, recipe in recipes.items():
        reason = _cannot(recipe, cache, reporter)
        if reason is None:
            able.append(name)
        else:
            reporter.note(f"{name} is left out: {reason}")
            left_out.append(LeftOutRung(name=name, reason=reason))
    runs: dict[str, tuple[CvResult, FinishedRun]] = {}
    for name in able:
        recipe, place = recipes[name], folder / plain_name(name)
        reporter.note(f"rung {name}")
        try:
            if recipe is None:
                first = next((recipes[other] for other in able if recipes[other] is not None), None)
                result = _majority(
                    data, first or load_recipe("mfcc"), asked, seed, where, cache, device, place, reporter
                )
            else:
                result = cross_validate(
                    data, recipe=recipe, folds=asked, device=device, jobs=jobs, out=place, where=where, cache=cache,
                    resume=resume and (place / "run.json").exists(), reporter=reporter,
                )  # fmt: skip
        except MissingExtraError as error:
            reporter.note(f"{name} is left out: {error}")
            left_out.append(LeftOutRung(name=name, reason=str(error)))
            continue
        runs[name] = result, read_run(place, name)
    if not runs:
        raise RunError(f"no rung of {', '.join(recipes)} can be tried; {left_out[0].name}: {left_out[0].reason}")
    names, comparisons = list(runs), _compared([finished for _, finished in runs.values()])
    told = LadderResult(
        rungs=tuple(_rung(name, *runs[name]) for name in names),
        left_out=tuple(left_out),
        comparisons=comparisons,
        cheapest_unbeaten=cheapest_unbeaten(names, comparisons),
        sentence=verdict(names, comparisons),
        split=runs[names[0]][0].split.name,
        seed=seed,
        seconds=time.perf_counter() - started,
        out=str(folder),
        versions=versions(),
        hardware=hardware_line(),
    )
    write_text(folder / RESULT_NAME, told.model_dump_json(indent=2) + "\n")
    return told


class _SaidOnce:
    """A reporter that passes everything on, but no sentence twice: each rung would tell of the same clips again."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter, self._said = reporter, set[str]()
        self.progress, self.epoch = reporter.progress, reporter.epoch

    def note(self, sentence: str) -> None:
        """Pass a sentence on, the first time."""
        if sentence not in self._said:
            self._said.add(sentence)
            self._reporter.note(sentence)


def _rungs(only: Sequence[str | Path | Recipe] | None, epochs: int | None, seed: int) -> dict[str, Recipe | None]:
    """Return the recipes from cheap to dear, by name; None stands for the majority."""
    presets = preset_names()
    asked = [name for name in LADDER if name == MAJORITY or name in presets] if only is None else list(only)
    if not asked:
        raise RecipeError("--only must name at least one rung, got none. Leave it out for all")
    asked.sort(key=lambda source: LADDER.index(source) if source in LADDER else len(LADDER))
    rungs: dict[str, Recipe | None] = {}
    for source in asked:
        name, recipe = MAJORITY, None
        if source != MAJORITY:
            recipe = load_recipe(source, [f"training.seed={seed}"])
            if epochs is not None and recipe.training.optimizer != "lbfgs":
                recipe = load_recipe(recipe, [f"training.epochs={epochs}"])
            name = recipe.name
        if plain_name(name).casefold() in {plain_name(other).casefold() for other in rungs}:
            raise RecipeError(f"--only must name rungs of different names, got '{name}' twice. Set the recipe's name")
        rungs[name] = recipe
    return rungs


def _with_weights(
    rungs: Mapping[str, Recipe | None], weights: str | Path, cache: str | Path | None, reporter: Reporter
) -> dict[str, Recipe | None]:
    """Return the rungs, of which those that take published weights of ours and name none take these.

    Raises:
        PathError: they are not there; what a person names is missed aloud, and no reason to leave a rung out.
        RecipeError: no rung takes them.
    """
    named = dict(rungs)
    for name, recipe in rungs.items():
        taken = None if recipe is None else published_network(recipe)
        if recipe is None or taken is None or taken[1] not in PUBLISHED or getattr(recipe, taken[0]).weights:
            continue
        named[name] = changed = name_weights(recipe, weights)
        found = pretrained_weights(changed, cache, reporter)
        assert found is not None
        load_efficientat(taken[1], found)  # so that what is damaged is told before hours of other rungs
    if named == rungs:
        raise RecipeError(
            f"--weights must be left out, as none of {', '.join(rungs)} takes published weights that it does not name "
            f"itself, got {weights}. Leave it out, or add probe or finetune to --only"
        )
    return named


def _begin(folder: Path, identity: Mapping[str, object]) -> None:
    """Make the ladder's folder, or check that it was begun as it is continued."""
    begun = folder / "run.json"
    if not begun.exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_text(begun, json.dumps(identity, indent=2, ensure_ascii=False) + "\n")
        return
    try:
        before = dict(json.loads(begun.read_text(encoding="utf-8")))
    except (ValueError, TypeError):
        raise RunError(f"{begun}: is damaged, so the ladder cannot be continued. Choose another --out") from None
    for key, value in identity.items():
        if before.get(key) != value:
            raise RunError(
                f"{folder}: was begun with {key} = {before.get(key)}, got {value}. "
                f"Continue with the same settings, or choose another --out"
            )


def _cannot(recipe: Recipe | None, cache: str | Path | None, reporter: Reporter) -> str | None:
    """Return why a rung cannot be tried here; None where it can."""
    if recipe is None:
        return None
    try:
        pretrained_weights(recipe, cache, reporter)
    except (PathError, DownloadError, MissingExtraError) as error:
        return str(error)
    return None


def _majority(
    data: str | Path,
    recipe: Recipe,
    folds: Sequence[str] | None,
    seed: int,
    where: Mapping[str, str] | None,
    cache: str | Path | None,
    device: str,
    folder: Path,
    reporter: Reporter,
) -> CvResult:
    """Score the majority on the clips that another rung can hear, with its kept sounds and features."""
    prepared = prepare(
        data, recipe, reporter, where=where, cache=cache, check=lambda _: None, hardware=Hardware(device)
    )  # fmt: skip
    return majority_cross_validate(prepared, folds, seed, where or {}, folder)


def _compared(runs: Sequence[FinishedRun]) -> tuple[Comparison, ...]:
    """Compare every dearer run with every cheaper one."""
    comparisons = [
        compare_predictions(
            a.predictions, b.predictions, names=(a.name, b.name), roots=(a.root, b.root),
            groups_known=a.groups_known and b.groups_known,
        )
        for a, b in combinations(runs, 2)
    ]  # fmt: skip
    slim = {"clips_only_a_right": (), "clips_only_b_right": ()}
    return tuple(found.model_copy(update=slim) for found in correct_for_many(comparisons))


def _rung(name: str, result: CvResult, finished: FinishedRun) -> Rung:
    files = sorted(finished.folder.glob("fold*/model.onnx"))
    return Rung(
        name=name,
        out=str(finished.folder),
        accuracy_mean=known(result.accuracy_mean),
        accuracy_std=result.accuracy_std,
        accuracy_pooled=known(result.accuracy_pooled),
        accuracy_ci95=result.accuracy_ci95,
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
