"""Results in words and small tables, for people; `--json` prints the same in full."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape

from soundfold.wording import counted, format_percent

if TYPE_CHECKING:
    from soundfold.data.audit import Audit
    from soundfold.evaluation import ClassScore, CvResult, EvaluateResult, TrainResult

__all__ = ["tell_audit", "tell_cv", "tell_evaluate", "tell_train"]


def tell_train(result: "TrainResult") -> None:
    """Print what came of a training."""
    console = _console()
    if result.accuracy is None:
        _say(console, f"trained on all {result.split.n_train:,} clips; nothing was held out, so there is no score")
    else:
        held_out = counted(result.n or 0, "clip")
        _say(console, f"held out: {result.split.name}, {held_out}; trained on {result.split.n_train:,}")
        _scores(console, result)
        _classes(console, result.per_class or ())
    _leaks_and_notes(console, result)
    _cost(console, result)
    _say(console, f"model:      {result.out}/model.onnx")
    _say(console, f"next:       soundfold predict {result.out} SOUND")


def tell_cv(result: "CvResult") -> None:
    """Print what came of a cross-validation."""
    console = _console()
    rows: list[tuple[str, ...]] = [("fold", "accuracy", "macro F1", "clips", "training")]
    for fold in result.folds:
        seconds = "" if fold.train_s is None else f"{fold.train_s:.0f} s"
        rows.append(
            (str(fold.fold), format_percent(fold.accuracy), format_percent(fold.macro_f1), f"{fold.n:,}", seconds)
        )
    _table(console, rows)
    spread = "" if result.accuracy_std is None else f" ± {100 * result.accuracy_std:.1f}"
    _say(console, f"mean:       {100 * result.accuracy_mean:.1f}{spread} %  over {counted(len(result.folds), 'fold')}")
    _scores(console, result, pooled=True)
    _classes(console, result.per_class)
    _leaks_and_notes(console, result)
    _cost(console, result)
    _say(console, f"run:        {result.out}")


def tell_evaluate(result: "EvaluateResult") -> None:
    """Print the scores of a model on labelled sound."""
    console = _console()
    _say(console, f"scored on:  {result.split.name}, {counted(result.n, 'clip')}")
    _scores(console, result)
    _classes(console, result.per_class)
    _leaks_and_notes(console, result)
    _cost(console, result)


def tell_audit(audit: "Audit") -> None:
    """Print what a data set holds, then what could spoil a score."""
    console = _console()
    for note in audit.notes:
        _say(console, note)
    rows: list[tuple[str, ...]] = [("class", "clips", "recordings", *(f"fold {fold}" for fold in audit.per_fold))]
    for label in audit.labels:
        by_fold = [f"{counts.get(label, 0):,}" for counts in audit.per_fold.values()]
        rows.append((label, f"{audit.per_class.get(label, 0):,}", f"{audit.recordings_per_class[label]:,}", *by_fold))
    _table(console, rows)
    _say(console, f"rates:      {_counts(audit.sample_rates, ' Hz')}")
    _say(console, f"channels:   {_counts(audit.channels, '')}")
    _say(console, f"formats:    {_counts(audit.formats, '')}")
    if audit.lengths is not None:
        found = audit.lengths
        least, middle, most = (_short(value) for value in (found.min_s, found.median_s, found.max_s))
        spread = f"all {least} s" if least == most else f"{least} to {most} s, median {middle} s"
        _say(console, f"lengths:    {spread}; {_duration(found.total_s)} in all")
    for finding in audit.findings:
        _say(console, f"! {finding}")
    if not audit.findings:
        _say(console, "nothing found that could spoil a score")


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{_short(seconds)} s"
    return f"{seconds / 60:.1f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"


def _short(number: float) -> str:
    return f"{number:.3g}" if number < 999.5 else f"{number:,.0f}"


def _counts(counts: "dict[int, int] | dict[str, int]", unit: str) -> str:
    return ", ".join(f"{name}{unit} × {count:,}" for name, count in counts.items())


def _console() -> Console:
    return Console(highlight=False)


def _say(console: Console, text: str) -> None:
    console.print(escape(text), soft_wrap=True)


def _scores(console: Console, result: "TrainResult | CvResult | EvaluateResult", pooled: bool = False) -> None:
    accuracy = getattr(result, "accuracy_pooled", result.accuracy) or 0.0
    interval = ""
    if result.accuracy_ci95 is not None:
        low, high = result.accuracy_ci95
        what = "file" if (result.leaks or {}).get("groups_known") is False else "recording"
        interval = (
            f"  95 % interval over {counted(result.n_recordings or 0, what)}: {100 * low:.1f} to {100 * high:.1f} %"
        )
    _say(console, f"{'pooled:  ' if pooled else 'accuracy:'}   {format_percent(accuracy)}{interval}")
    _say(console, f"macro F1:   {format_percent(result.macro_f1 or 0.0)}")
    for name, part in (("foreground", result.foreground), ("background", result.background)):
        if part is not None:
            _say(console, f"{name}: {format_percent(part.accuracy)}  of {counted(part.n, 'clip')}")


def _classes(console: Console, classes: "tuple[ClassScore, ...]") -> None:
    rows: list[tuple[str, ...]] = [("class", "recall", "precision", "F1", "clips", "recordings")]
    for row in classes:
        found = format_percent(row.recall), format_percent(row.precision), format_percent(row.f1)
        shares = found if row.n else ("–", found[1], "–")
        rows.append((row.label, *shares, f"{row.n:,}", f"{row.recordings:,}"))
    _table(console, rows)


def _table(console: Console, rows: Sequence[tuple[str, ...]]) -> None:
    """Print rows in columns, the first one to the left; nothing is ever cut off, whatever the terminal's width."""
    widths = [max(cell_len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [" " * (width - cell_len(cell)) + cell for cell, width in zip(row, widths, strict=True)]
        cells[0] = row[0] + " " * (widths[0] - cell_len(row[0]))
        _say(console, "  ".join(cells).rstrip())


def _leaks_and_notes(console: Console, result: "TrainResult | CvResult | EvaluateResult") -> None:
    leaks = result.leaks or {}
    if leaks.get("sentence"):
        heading = "leak:   " if leaks.get("clips") or leaks.get("identical_clips") else "warning:"
        console.print(f"[bold]{heading}[/bold]    {escape(str(leaks['sentence']))}", soft_wrap=True)
    if result.left_out:
        _say(console, f"left out:   {counted(len(result.left_out), 'clip')} that cannot be used; --json lists them")
    for note in result.notes:
        _say(console, f"note:       {note}")


def _cost(console: Console, result: "TrainResult | CvResult | EvaluateResult") -> None:
    told = f"took:       {result.seconds:.1f} s"
    if result.clips_per_second is not None:
        told += f", of which {result.train_s:.1f} s training" if result.train_s else ""
        told += f" at {result.clips_per_second:,.0f} clips/s"
    _say(console, told)
