"""A run's score in one sentence, with what a reader must know before believing it."""

from collections.abc import Sequence

from soundfold.evaluation.measured import (
    Measured,
    Result,
    fold_values,
    headline,
    is_of_several_labels,
    measured,
)
from soundfold.evaluation.report.material import ReportRun
from soundfold.evaluation.results import CvResult, EvaluateResult, unit_of
from soundfold.wording import counted, format_interval, format_percent

__all__ = ["kind_of", "overall_verdict", "unbroken", "verdict"]


def verdict(result: Result) -> str:
    """Return what came of a run, in a sentence or two."""
    found = measured(result)
    if found is None and result.n:
        return f"None of the {counted(result.n, 'clip')} that were held out bears a label, so there is no score."
    if found is None:
        return (
            f"Trained on all {counted(result.split.n_train or 0, 'clip')}. Nothing was held out, so there is no score."
        )
    of_what, told = _of_what(result), headline(result)
    sentence = f"Right on {told} of {of_what}"
    if is_of_several_labels(result):
        sentence = f"Mean average precision of {told} over {counted(_labels(result), 'label')}, on {of_what}"
    if isinstance(result, CvResult):
        folds = len(fold_values(result.folds))
        sentence += f", the mean over {counted(folds, 'fold')}" if folds > 1 else ", in one fold"
    return unbroken(f"{sentence}{_interval(result, found)}. {_beside_chance(found)}{_before_believing(result)}")


def overall_verdict(runs: Sequence[ReportRun]) -> str:
    """Return which of several runs scored highest; whether by more than chance is for the comparison to say."""
    scored = [(found.value, run) for run in runs if (found := measured(run.result)) is not None]
    if not scored:
        return f"{len(runs)} runs; none of them held clips out, so there are no scores."
    scored.sort(key=lambda pair: -pair[0])
    told = [f"{run.name} {headline(run.result)}" for _, run in scored]
    which = {frozenset(run.predictions["path"]) for _, run in scored if run.predictions is not None}
    apart = " They were not scored on the same clips." if len(which) > 1 else ""
    return unbroken(f"From the highest score to the lowest: {', '.join(told)}.{apart}")


def unbroken(sentence: str) -> str:
    """Return a sentence whose numbers keep their signs when lines are broken.

    >>> unbroken("38.7 ± 1.4 %") == "38.7\u00a0±\u00a01.4\u00a0%"
    True
    """
    return sentence.replace(" %", "\u00a0%").replace(" ± ", "\u00a0±\u00a0").replace("–", "\u2060–\u2060")


def kind_of(result: Result) -> str:
    """Return what the run was, in words."""
    if isinstance(result, CvResult):
        return "cross-validation"
    return "evaluation" if isinstance(result, EvaluateResult) else "training"


def _of_what(result: Result) -> str:
    clips = counted(result.n, "clip")
    leaks = result.leaks or {}
    if leaks.get("share") == 0 and not leaks.get("identical_clips") and leaks.get("groups_known", True):
        return f"{clips} from {counted(result.n_recordings or 0, unit_of(result))} that it had never met"
    return f"{clips} that it was scored on" if isinstance(result, EvaluateResult) else f"{clips} that were held out"


def _labels(result: Result) -> int:
    """Return how many labels were scored: those that some clip bears."""
    return sum(row.n > 0 for row in result.per_class or ())


def _interval(result: Result, found: Measured) -> str:
    if found.interval is None:
        return ""
    told = f"95 % interval {format_interval(*found.interval)}"
    if isinstance(result, CvResult) and len(result.folds) > 1:
        return f" (all clips together {format_percent(found.pooled)}, {told})"
    return f" ({told})"


def _beside_chance(found: Measured) -> str:
    share = format_percent(found.chance)
    always = f"always answering the most frequent class, which is right on {share}"
    if found.what != "accuracy":
        always = f"ranking the clips by chance, which would give {share}"
    if found.interval is not None and found.interval[0] > found.chance:
        return f"That is more than {always}."
    if found.interval is not None and found.interval[1] < found.chance:
        return f"That is less than {always}."
    return f"That is not clearly more than {always}."


def _before_believing(result: Result) -> str:
    sentence = str((result.leaks or {}).get("sentence") or "")
    return f" But: {sentence[0].upper()}{sentence[1:].rstrip('.')}." if sentence else ""
