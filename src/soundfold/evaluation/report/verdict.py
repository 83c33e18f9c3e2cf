"""A run's score in one sentence, with what a reader must know before believing it."""

from collections.abc import Sequence

from soundfold.evaluation.report.material import ReportRun, Result
from soundfold.evaluation.results import CvResult, EvaluateResult, known, unit_of
from soundfold.wording import counted, format_interval, format_percent

__all__ = ["commonest_share", "headline", "kind_of", "overall_verdict", "pooled_accuracy", "unbroken", "verdict"]


def verdict(result: Result) -> str:
    """Return what came of a run, in a sentence or two."""
    if result.accuracy is None:
        return (
            f"Trained on all {counted(result.split.n_train or 0, 'clip')}. Nothing was held out, so there is no score."
        )
    found = f"Right on {headline(result)} of {_of_what(result)}"
    if isinstance(result, CvResult):
        folds = len(result.folds)
        found += f", the mean over {counted(folds, 'fold')}" if folds > 1 else ", in one fold"
    return unbroken(f"{found}{_interval(result)}. {_beside_chance(result)}{_before_believing(result)}")


def overall_verdict(runs: Sequence[ReportRun]) -> str:
    """Return which of several runs scored highest; whether by more than chance is for the comparison to say."""
    scored = [(run.result.accuracy, run) for run in runs if run.result.accuracy is not None]
    if not scored:
        return f"{len(runs)} runs; none of them held clips out, so there are no scores."
    scored.sort(key=lambda pair: -pair[0])
    told = [f"{run.name} {headline(run.result)}" for _, run in scored]
    which = {frozenset(run.predictions["path"]) for _, run in scored if run.predictions is not None}
    apart = " They were not scored on the same clips." if len(which) > 1 else ""
    return unbroken(f"From the highest score to the lowest: {', '.join(told)}.{apart}")


def headline(result: Result) -> str:
    """Return the accuracy as a title tells it: of a cross-validation the mean over folds and its deviation."""
    if result.accuracy is None:
        return "no score"
    if isinstance(result, CvResult) and result.accuracy_std is not None:
        return f"{100 * known(result.accuracy_mean):.1f} ± {100 * result.accuracy_std:.1f} %"
    return format_percent(result.accuracy)


def pooled_accuracy(result: Result) -> float:
    """Return right clips over all clips: what the interval is for."""
    return known(result.accuracy_pooled) if isinstance(result, CvResult) else result.accuracy or 0.0


def commonest_share(result: Result) -> float:
    """Return how many of the scored clips the most frequent class alone makes up, 0 to 1."""
    return max((row.n for row in result.per_class or ()), default=0) / max(result.n, 1)


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


def _interval(result: Result) -> str:
    if result.accuracy_ci95 is None:
        return ""
    told = f"95 % interval {format_interval(*result.accuracy_ci95)}"
    if isinstance(result, CvResult) and len(result.folds) > 1:
        return f" (all clips together {format_percent(known(result.accuracy_pooled))}, {told})"
    return f" ({told})"


def _beside_chance(result: Result) -> str:
    share = commonest_share(result)
    always = f"always answering the most frequent class, which is right on {format_percent(share)}"
    if result.accuracy_ci95 is not None and result.accuracy_ci95[0] > share:
        return f"That is more than {always}."
    if result.accuracy_ci95 is not None and result.accuracy_ci95[1] < share:
        return f"That is less than {always}."
    return f"That is not clearly more than {always}."


def _before_believing(result: Result) -> str:
    sentence = str((result.leaks or {}).get("sentence") or "")
    return f" But: {sentence[0].upper()}{sentence[1:].rstrip('.')}." if sentence else ""
