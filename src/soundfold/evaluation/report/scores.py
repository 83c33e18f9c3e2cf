"""The sections on scores: in all, by fold, by class, and what stood on both sides of the split."""

from collections.abc import Sequence

from soundfold.evaluation.measured import (
    Measured,
    Result,
    fold_values,
    headline,
    interval_of,
    is_of_several_labels,
    measured,
    value_of,
)
from soundfold.evaluation.metrics import score
from soundfold.evaluation.report.charts import SCALE, barred_percent, curves, strip
from soundfold.evaluation.report.confusion import confusion_matrix, frequent_mistakes
from soundfold.evaluation.report.markup import Html, element, facts, join, name, table
from soundfold.evaluation.report.material import Curve, ReportRun
from soundfold.evaluation.report.verdict import unbroken
from soundfold.evaluation.results import CvResult, EvaluateResult, MetScore, Scores, SeedScores, unit_of
from soundfold.wording import counted, format_interval, format_percent

__all__ = ["by_class", "by_fold", "confusions", "in_all", "leaks", "training_curves"]


def in_all(run: ReportRun) -> Html | None:
    """Return a run's scores with their intervals; None where nothing was scored."""
    result, found = run.result, measured(run.result)
    if found is None:
        return None
    tiles = [_tile(found.what, headline(result), _note(result, found))]
    if isinstance(result, CvResult) and len(result.folds) > 1:
        tiles.append(_tile(f"pooled {found.what}", format_percent(found.pooled), _between(found.interval)))
    if (alone := _seeds_of(result)) is not None:
        of_one, over = f"{100 * alone.mean:.1f} ± {100 * alone.std_seeds:.1f} %", counted(len(alone.seeds), "seed")
        between = "" if alone.std_folds is None else f", ± {100 * alone.std_folds:.1f} over folds"
        tiles.append(_tile("one network alone", of_one, unbroken(f"mean ± deviation over {over}{between}")))
    tiles.append(_tile("macro F1", format_percent(result.macro_f1 or 0.0), _between(result.macro_f1_ci95)))
    over = counted(result.n_recordings or 0, unit_of(result))
    tiles.append(_tile("scored clips", f"{result.n:,}", f"of {over}"))
    for what, part in (("foreground", result.foreground), ("background", result.background)):
        if part is not None:
            tiles.append(_tile(what, format_percent(part.accuracy), f"of {counted(part.n, 'clip')}"))
    for what, side in _met_and_not(result):
        told = f"{counted(side.n, 'clip')} of {counted(side.n_recordings, unit_of(result))}"
        tiles.append(_tile(what, format_percent(value_of(side)), told))
    picture = element(
        "p",
        element("span", "0 %", class_="faint"),
        strip(found.pooled, found.interval, _marks(run)),
        element("span", "100 %", class_="faint"),
        class_="scale",
    )
    drawn = f"The dot is the {found.what} over all clips, the line its 95 % interval"
    drawn += ", the ticks are the folds." if _marks(run) else "."
    if alone is not None:
        drawn += f" All scores but that of one network alone are of the mean answer of {len(alone.seeds)} networks."
    notes = [element("li", name(note)) for note in result.notes]
    return join(
        element("div", *tiles, class_="tiles"),
        picture,
        element("p", drawn, class_="faint"),
        element("ul", *notes, class_="notes") if notes else None,
    )


def by_fold(run: ReportRun) -> Html | None:
    """Return the scores of each fold, each with its interval where the predictions were kept."""
    result, whole = run.result, measured(run.result)
    if not isinstance(result, CvResult) or whole is None:
        return None
    alone = {} if result.seeds is None else {each.fold: each for each in result.seeds.folds}
    rows = []
    for fold in result.folds:
        found = _scores_of(run, str(fold.fold))
        interval = interval_of(found) if found else None
        one, reached = alone.get(fold.fold), value_of(fold)
        rows.append(
            (
                name(fold.fold),
                format_percent(reached),
                "" if reached is None else strip(reached, interval),
                _bare_interval(interval),
                *(("" if one is None else f"{100 * one.mean:.1f} ± {100 * one.std:.1f} %",) if alone else ()),
                format_percent(None if reached is None else fold.macro_f1),
                f"{fold.n:,}",
                f"{found.n_recordings:,}" if found else "",
                "" if fold.train_s is None else f"{fold.train_s:,.0f} s",
            )
        )
    by = f"{len(result.seeds.seeds)} networks together that were" if result.seeds else "network that was"
    seeds = ("one alone",) if alone else ()
    heads = ("fold", whole.what, SCALE, "95 % interval", *seeds, "macro F1", "clips", result.interval_over, "training")
    return join(
        element("p", f"Each fold is answered by the {by} trained on all others."),
        table(heads, rows, caption="Scores by fold", class_="strips"),
    )


def by_class(run: ReportRun) -> Html | None:
    """Return recall with its interval, precision and F1 of each class; of several labels, how well each is ranked."""
    if not run.result.per_class:
        return None
    several = is_of_several_labels(run.result)
    drawn = any(row.recall_ci95 is not None for row in run.result.per_class)  # runs of earlier versions have none
    rows = []
    for row in run.result.per_class:
        lacking = row.n == 0  # nothing was there to be found, so recall and F1 say nothing
        rows.append(
            (
                name(row.label),
                *((("–" if lacking else barred_percent(row.average_precision or 0.0)),) if several else ()),
                "–" if lacking else barred_percent(row.recall),
                *((_bare_interval(row.recall_ci95),) if drawn else ()),
                barred_percent(row.precision),
                "–" if lacking else barred_percent(row.f1),
                f"{row.n:,}",
                f"{row.recordings:,}",
            )
        )
    ranked = ("average precision",) if several else ()
    between = ("its 95 % interval",) if drawn else ()
    heads = ("class", *ranked, "recall", *between, "precision", "F1", "clips", run.result.interval_over)
    told = "Recall: of the clips of the class, how many were found. Precision: of the answers that named it, how many "
    told += "were right. "
    if several:
        told += "A label is named where its probability is above 0.5; average precision needs no threshold, and tells "
        told += "how well the label's probabilities rank the clips. "
    told += f"A score that rests on few {run.result.interval_over} says little about others"
    told += ": under 20, its interval is too narrow." if drawn else "."
    return join(element("p", told), table(heads, rows, caption="Scores by class", class_="barred"))


def confusions(run: ReportRun) -> Html | None:
    """Return who is taken for whom; None where nothing was scored."""
    result = run.result
    if result.confusion is None:
        return None
    told = "A row is the truth, a column the answer; the shade is the share of the row."
    return join(
        element("p", told),
        element(
            "div",
            confusion_matrix(result.confusion, result.labels, result.unknown_labels),
            element("div", frequent_mistakes(result.confusion, result.labels, result.unknown_labels)),
            class_="matrices",
        ),
    )


def training_curves(run: ReportRun) -> Html | None:
    """Return loss and accuracy over epochs; a sentence where the network is fitted at once, and on damaged logs."""
    notes = [element("p", name(note), class_="warn") for note in run.log_notes]
    drawn = curves(run.curves)
    if drawn is not None:
        told = "Held-out clips are looked at for this picture alone; nothing is chosen by what is seen."
        return join(element("p", f"{_lines(run.curves)}{told}"), *notes, drawn)
    if notes:
        return join(*notes)
    return element("p", "The network was trained in one step, so there is no curve.") if run.curves else None


def _lines(trainings: Sequence[Curve]) -> str:
    """Say what the lines are where there are several."""
    found = (("seed", {each.seed for each in trainings}), ("fold", {each.fold for each in trainings}))
    what = " of each ".join(name for name, values in found if len(values) > 1)
    return f"Each {what} is a line of its own, named where a pointer rests on it. " if what else ""


def leaks(run: ReportRun) -> Html:
    """Return what stood on both sides of the split."""
    result = run.result
    found = result.leaks
    if measured(result) is None:
        return element("p", "Nothing was held out, so nothing can leak and nothing is known of new recordings.")
    if found is None:
        return element("p", "It is not known what stood on both sides of the split.", class_="warn")
    sentence = str(found.get("sentence") or "")
    if not sentence:
        if isinstance(result, EvaluateResult):
            return element("p", "None of these recordings bears the name of one that the model was trained on.")
        told = "No recording, and no identical sound, stands on both sides of the split."
        return element("p", told)
    known = [str(recording) for recording in found.get("recordings") or ()]
    clips, share = found.get("clips"), found.get("share")
    counts = None if clips is None or share is None else f"{clips:,} of {result.n:,} ({format_percent(share)})"
    identical = found.get("identical_clips")
    return join(
        element("p", name(f"{sentence[0].upper()}{sentence[1:].rstrip('.')}."), class_="warn"),
        facts(
            (
                ("clips that share a recording with training", counts),
                ("clips whose very sound is in training", f"{identical:,}" if identical else None),
                ("recordings on both sides", name(", ".join(known)) if known else None),
            )
        ),
    )


def _tile(what: str, value: str, note: str) -> Html:
    return element(
        "div", element("p", what, class_="what"), element("p", value, class_="value"), element("p", note, class_="note")
    )


def _note(result: Result, found: Measured) -> str:
    if isinstance(result, CvResult) and found.std is not None:
        return f"mean ± deviation over {counted(len(fold_values(result.folds)), 'fold')}"
    return _between(found.interval)


def _between(interval: tuple[float, float] | None) -> str:
    return "no interval" if interval is None else unbroken(f"95 % interval: {format_interval(*interval)}")


def _seeds_of(result: Result) -> SeedScores | None:
    """Return what one network alone reaches, where several that differ in their seed answer together."""
    return None if isinstance(result, EvaluateResult) else result.seeds


def _met_and_not(result: Result) -> list[tuple[str, MetScore]]:
    """Return the scores of what a model has met in training and of what it has not, where that is known."""
    if not isinstance(result, EvaluateResult):
        return []
    sides = (("not met in training", result.not_met), ("met in training", result.met))
    return [(what, side) for what, side in sides if side is not None]


def _bare_interval(interval: tuple[float, float] | None) -> str:
    return "" if interval is None else format_interval(*interval)


def _marks(run: ReportRun) -> list[float]:
    values = fold_values(run.result.folds) if isinstance(run.result, CvResult) else []
    return values if len(values) > 1 else []


def _scores_of(run: ReportRun, fold: str) -> Scores | None:
    """Return the scores of one fold, computed again from its predictions."""
    if run.predictions is None:
        return None
    part = run.predictions[run.predictions["fold"] == fold]
    return None if part.empty else score(part)
