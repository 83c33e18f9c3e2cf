"""Several runs side by side: their scores, whether they differ beyond chance, their classes and their settings."""

from collections.abc import Sequence

from soundfold.errors import DataError
from soundfold.evaluation.comparison import compare_predictions, correct_for_many
from soundfold.evaluation.comparison_result import Comparison
from soundfold.evaluation.measured import headline, is_of_several_labels, measured
from soundfold.evaluation.report.account import changed_settings, setting
from soundfold.evaluation.report.charts import SCALE, barred_percent, strip
from soundfold.evaluation.report.markup import Html, element, join, name, section, table
from soundfold.evaluation.report.material import ReportRun
from soundfold.evaluation.report.verdict import kind_of
from soundfold.evaluation.results import ClassScore
from soundfold.recipe import Recipe
from soundfold.wording import format_interval, format_percent, format_size

__all__ = ["side_by_side"]


def side_by_side(runs: Sequence[ReportRun]) -> Html:
    """Return the sections that hold several runs against each other."""
    return join(
        section("Side by side", _scores(runs), id_="side"),
        _section("Beyond chance?", _comparison(runs), "compared"),
        _section(f"{_measure_of_classes(runs).capitalize()} by class", _classes(runs), "classes-side"),
        _section("Where the recipes differ", _recipes(runs), "recipes-side"),
    )


def _section(title: str, content: Html | None, id_: str) -> Html | None:
    return None if content is None else section(title, content, id_=id_)


def _scores(runs: Sequence[ReportRun]) -> Html:
    rows = []
    for number, run in enumerate(runs, 1):
        result, found = run.result, measured(run.result)
        link = element("a", name(run.name), href=f"#run{number}")
        interval = None if found is None else found.interval
        share = (result.leaks or {}).get("share")
        files = [size for file, size in run.files if file.startswith("model")]
        rows.append(
            (
                link,
                element("span", kind_of(result), class_="whole"),
                headline(result),
                strip(found.pooled, interval) if found is not None else "",
                format_interval(*interval) if interval else "",
                format_percent(result.macro_f1) if result.macro_f1 is not None else "",
                f"{result.n:,}",
                "" if share is None else format_percent(share),
                f"{result.train_s:,.0f} s" if result.train_s is not None else "",
                format_size(files[0]) if files else "",
            )
        )
    what = next((found.what for run in runs if (found := measured(run.result)) is not None), "accuracy")
    heads = ("run", "kind", what, SCALE, "95 % interval", "macro F1", "clips", "leaked", "training",
             "model file")  # fmt: skip
    told = f"Of a cross-validation the {what} is the mean over folds ± deviation, dot and interval are of all clips."
    return join(
        table(heads, rows, caption="Runs side by side", class_="strips", texts=2), element("p", told, class_="faint")
    )


def _comparison(runs: Sequence[ReportRun]) -> Html | None:
    """Return each run against the first, over the clips and recordings that both answered."""
    first, *others = runs
    found: list[Comparison] = []
    refused = []
    for run in others:
        try:
            found.append(_compared(first, run, len(others)))
        except DataError as error:
            refused.append(element("li", name(f"{run.name} is not compared with {first.name}: {error}")))
    if not found:
        return element("ul", *refused, class_="notes") if refused else None
    corrected = correct_for_many(found)
    rows = [
        (
            name(each.b),
            f"{100 * each.difference:+.1f}",
            "" if each.difference_ci95 is None else " to ".join(f"{100 * end:+.1f}" for end in each.difference_ci95),
            "< 0.001" if each.p_corrected < 0.001 else f"{each.p_corrected:.2g}",
            f"{each.n:,}",
            *([] if each.of_several else [f"{each.only_b_right:,}", f"{each.only_a_right:,}"]),
        )
        for each in corrected
    ]
    ranked = corrected[0].of_several
    heads = ["run", f"difference, {corrected[0].points}", "95 % interval", "p", "clips of both"]
    heads += [] if ranked else ["right here alone", "there alone"]
    sentences = [element("li", name(each.sentence)) for each in corrected]
    notes = [element("li", name(note)) for note in dict.fromkeys(note for each in corrected for note in each.notes)]
    many = " The p-values are corrected for their number (Holm)." if len(corrected) > 1 else ""
    over = "recordings" if all(run.result.interval_over == "recordings" for run in runs) else "files"
    how = "By the ranking of" if ranked else "Clip by clip on"
    told = f"{how} what both answered; interval and p-value take whole {over}."
    return join(
        element("ul", *sentences, class_="verdicts"),
        table(heads, rows, caption=f"Each run against {first.name}"),
        element("p", "Against ", name(first.name), f". {told}{many}", class_="faint"),
        element("ul", *refused, *notes, class_="notes") if refused or notes else None,
    )


def _compared(first: ReportRun, run: ReportRun, at_once: int) -> Comparison:
    if first.predictions is None or run.predictions is None:
        lacking = first.name if first.predictions is None else run.name
        raise DataError(f"{lacking} kept no predictions")
    if type(first.result) is not type(run.result):
        raise DataError(f"one is a {kind_of(first.result)}, the other a {kind_of(run.result)}")
    known = all(each.result.interval_over == "recordings" for each in (first, run))
    return compare_predictions(
        first.predictions, run.predictions, names=(first.name, run.name), roots=(first.data, run.data),
        groups_known=known, at_once=at_once,
    )  # fmt: skip


def _classes(runs: Sequence[ReportRun]) -> Html | None:
    found = [{row.label: row for row in run.result.per_class or () if row.n} for run in runs]
    labels = list(dict.fromkeys(label for rows in found for label in rows))
    if not labels:
        return None
    rows = [(name(label), *(_class_score(of.get(label)) for of in found)) for label in labels]
    heads = ("class", *(name(run.name) for run in runs))
    return table(heads, rows, caption=f"{_measure_of_classes(runs).capitalize()} by class and run", class_="barred")


def _measure_of_classes(runs: Sequence[ReportRun]) -> str:
    return "average precision" if any(is_of_several_labels(run.result) for run in runs) else "recall"


def _class_score(row: ClassScore | None) -> Html | str:
    if row is None:
        return "–"
    return barred_percent(row.recall if row.average_precision is None else row.average_precision)


def _recipes(runs: Sequence[ReportRun]) -> Html | None:
    """Return the settings that are not the same in all runs."""
    keys = dict.fromkeys(key for run in runs for key in changed_settings(run.result.recipe))
    rows = []
    for key in keys:
        values = [_value(run, key) for run in runs]
        if len(set(values)) > 1:
            rows.append((element("code", key), *(name(value) for value in values)))
    if not rows:
        return element("p", "They do not: the runs differ in data, split or seed of chance alone.")
    heads = ("setting", *(name(run.name) for run in runs))
    return table(heads, rows, caption="Settings that are not the same in all runs", class_="settings", texts=len(heads))


def _value(run: ReportRun, key: str) -> str:
    """Return a run's setting; what its recipe does not name was the default then, if it had one beyond a name."""
    if not run.result.recipe.keys() - {"name"}:
        return "–"
    for source in (run.result.recipe, Recipe.model_validate({}).as_dict()):
        value: object = source
        for part in key.split("."):
            value = value.get(part, ...) if isinstance(value, dict) else ...
        if value is not ...:
            return "–" if value is None else setting(value)
    return "–"
