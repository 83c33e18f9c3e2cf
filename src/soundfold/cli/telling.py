"""Scores in words and small tables, for people; `--json` prints the same in full."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape

from soundfold.cli.columns import print_unbroken, say
from soundfold.wording import counted, format_interval, format_percent, on_one_line

if TYPE_CHECKING:
    from soundfold.evaluation import CalibrationScores, CvResult, EvaluateResult, TrainResult

__all__ = ["tell_cv", "tell_evaluate", "tell_train"]


_FEW_KEPT = 0.5  # of the clips, by a rule for unknown sounds


def tell_train(result: "TrainResult") -> None:
    """Print what came of a training."""
    console = Console(highlight=False)
    if not result.n:
        say(console, f"trained on all {result.split.n_train:,} clips; nothing was held out, so there is no score")
    else:
        held_out = counted(result.n or 0, "clip")
        say(console, f"held out: {result.split.name}, {held_out}; trained on {result.split.n_train:,}")
        _one_network(console, result)
        _scores(console, result)
        _classes(console, result)
    _trust(console, result)
    _leaks_and_notes(console, result)
    _cost(console, result)
    say(console, f"model:      {result.out}/model.onnx")
    say(console, f"next:       soundfold predict {result.out} SOUND")


def tell_cv(result: "CvResult", data: Path, where: Mapping[str, str]) -> None:
    """Print what came of a cross-validation of some data, and how to make the model that it speaks of."""
    from soundfold.evaluation.measured import fold_values, headline, measured, value_of
    from soundfold.runtime.command_line import train_on_all

    console = Console(highlight=False)
    several = result.confusion is None
    rows: list[tuple[str, ...]] = [("fold", "mAP" if several else "accuracy", "macro F1", "clips", "training")]
    for fold in result.folds:
        seconds = "" if fold.train_s is None else f"{fold.train_s:.0f} s"
        reached = value_of(fold)
        macro_f1 = format_percent(None if reached is None else fold.macro_f1)
        rows.append((str(fold.fold), format_percent(reached), macro_f1, f"{fold.n:,}", seconds))
    print_unbroken(console, rows)
    _one_network(console, result)
    over = counted(len(fold_values(result.folds)), "fold")
    mean = "–  no held-out clip bears a label" if measured(result) is None else f"{headline(result)}  over {over}"
    say(console, f"mean:       {mean}")
    _scores(console, result, pooled=True)
    _trust(console, result)
    _classes(console, result)
    _leaks_and_notes(console, result)
    _cost(console, result)
    say(console, f"run:        {result.out}")
    if result.model is not None:
        say(console, f"model:      {result.model}  the mean of the folds' networks, not calibrated")
    run = Path(result.out or "")
    seeds = len(result.seeds.seeds) if result.seeds else 1
    told = result.calibration  # of one label a sound it gives a rule for unknown sounds, whatever the temperature
    calibrate = run if told is not None and (told.helps or result.accuracy_mean is not None) else None
    following = train_on_all(data, run / "recipe.yaml", where, seeds=seeds, calibrate=calibrate)
    say(console, f"next:       {following}")


def tell_evaluate(result: "EvaluateResult") -> None:
    """Print the scores of a model on labelled sound."""
    console = Console(highlight=False)
    say(console, f"scored on:  {result.split.name}, {counted(result.n, 'clip')}")
    _scores(console, result)
    _called_unknown(console, result)
    _met_and_not(console, result)
    _classes(console, result)
    _leaks_and_notes(console, result)
    _cost(console, result)


def _scores(console: Console, result: "TrainResult | CvResult | EvaluateResult", pooled: bool = False) -> None:
    from soundfold.evaluation.measured import measured

    found, interval = measured(result), ""
    if found is not None and found.interval is not None:
        low, high = found.interval
        over = counted(result.n_recordings or 0, result.interval_over.removesuffix("s"))
        interval = f"  95 % interval over {over}: {100 * low:.1f} to {100 * high:.1f} %"
    heading = "pooled:  " if pooled else "mAP:     " if result.confusion is None else "accuracy:"
    say(console, f"{heading}   {format_percent(found.pooled if found else None)}{interval}")
    say(console, f"macro F1:   {format_percent(result.macro_f1 if found else None)}")
    for name, part in (("foreground", result.foreground), ("background", result.background)):
        if part is not None:
            say(console, f"{name}: {format_percent(part.accuracy)}  of {counted(part.n, 'clip')}")


def _trust(console: Console, result: "TrainResult | CvResult") -> None:
    """Print how far the probabilities can be trusted, and what a temperature would make of them."""
    told = result.calibration
    if told is not None:
        change = f"{format_percent(told.before.ece)} → {format_percent(told.after.ece)}"
        loss = f"log loss {told.before.log_loss:.3f} → {told.after.log_loss:.3f}"
        verdict = "" if told.helps else ": the log loss does not fall, so none is taken"
        temperature = f"temperature {told.temperature:.2f}{verdict}"
        say(console, f"calibrated: error of probabilities (ECE) {change}, {loss} with {temperature}")
        _unknown(console, told, result.recipe)
        _thresholds(console, told)


def _unknown(console: Console, told: "CalibrationScores", recipe: Mapping[str, Any]) -> None:
    """Print what the rule for unknown sounds does, on background and folds that it was not fitted on."""
    rule = told.unknown
    if rule is None:
        return
    interval = "" if rule.kept_ci95 is None else f" (95 % interval {format_interval(*rule.kept_ci95)})"
    alarms = f"{rule.false_alarms_per_hour:.0f} false alarms an hour of background of other kinds"
    kept = f"{format_percent(rule.kept)}{interval} of the clips are kept"
    right = f"{format_percent(rule.right_after)} are right ({format_percent(rule.right_before)} of all)"
    wished = "3 % of the clips may be lost" if rule.wished_per_hour is None else f"{rule.wished_per_hour:g} wished"
    say(console, f"unknown:    {alarms}, {wished}; {kept}, of which {right}")
    if rule.kept_amid is not None:
        interval = "" if rule.kept_amid_ci95 is None else f" (95 % interval {format_interval(*rule.kept_amid_ci95)})"
        amid = f"{format_percent(rule.kept_amid)}{interval} of {counted(rule.n_amid, 'short clip')}"
        say(console, f"            amid soft background, as in a recording that goes on, {amid} are kept")
    worst = sorted(rule.kinds.items(), key=lambda pair: -pair[1])[:3]
    say(console, "            worst kinds: " + ", ".join(f"{kind} {rate:.0f}" for kind, rate in worst))
    if rule.kept < _FEW_KEPT:
        say(console, "warning:    most clips will be called unknown. Wish for more false alarms, or leave the wish out")
    if recipe["training"].get("head_fit") == "discriminant":  # a run of before has no such setting
        say(
            console,
            "            where background matters more than a point of accuracy: --set training.head_fit=logistic, to "
            "cv and to train (docs/trust.md)",
        )


def _thresholds(console: Console, told: "CalibrationScores") -> None:
    """Print what a wished precision costs, class by class."""
    if told.thresholds is None:
        return
    rows: list[tuple[str, ...]] = [("class", "told from", "precision", "95 % interval", "recall", "without")]
    for one in told.thresholds:
        start = "never" if one.threshold is None else format_percent(one.threshold) if one.threshold else "always"
        reached = format_percent(one.precision)
        interval = "" if one.precision_ci95 is None else format_interval(*one.precision_ci95)
        rows.append(
            (one.label, start, reached, interval, format_percent(one.recall), format_percent(one.recall_without))
        )
    apart = ", before the rule for unknown sounds" if told.unknown is not None else ""
    say(console, f"thresholds for a precision of {format_percent(told.precision or 0)}{apart}:")
    print_unbroken(console, rows)


def _called_unknown(console: Console, result: "EvaluateResult") -> None:
    """Print how many clips get no label from a model that may call them unknown."""
    if (found := result.called_unknown) is not None:
        called = f"{found.n:,} of {counted(result.n, 'clip')} {'is' if found.n == 1 else 'are'} called unknown"
        say(console, f"unknown:    {called}; of the others {format_percent(found.right_of_others)} are right")


def _met_and_not(console: Console, result: "EvaluateResult") -> None:
    """Print the scores of recordings that the model was trained on, and of the others, where it knows a part."""
    from soundfold.evaluation.measured import value_of

    if result.met is None or result.met.n == result.n:
        return
    for name, side in (("not met", result.not_met), ("met", result.met)):
        if side is not None:
            over = counted(side.n_recordings, result.interval_over.removesuffix("s"))
            what = "that the model was" if name == "met" else "that it was not"
            found = format_percent(value_of(side))
            told = f"{name}:".ljust(11)
            say(console, f"{told} {found}  of {counted(side.n, 'clip')} from {over} {what} trained on")


def _one_network(console: Console, result: "TrainResult | CvResult") -> None:
    """Print what one network alone is worth, where the scores are those of several together."""
    told = result.seeds
    if told is None:
        return
    over_folds = "" if told.std_folds is None else f" ± {100 * told.std_folds:.1f} over folds,"
    measure = "mAP" if told.measure == "mean_average_precision" else "accuracy"
    of_one = f"{100 * told.mean:.1f} %{over_folds} ± {100 * told.std_seeds:.1f} over {len(told.seeds)} seeds"
    say(console, f"one alone:  {measure} {of_one}; all else is of the mean of {len(told.seeds)} networks")


def _classes(console: Console, result: "TrainResult | CvResult | EvaluateResult") -> None:
    classes = result.per_class or ()
    ranked = any(row.average_precision is not None for row in classes)
    heading = ("class", *(("AP",) if ranked else ()), "recall", "precision", "F1", "clips", result.interval_over)
    rows: list[tuple[str, ...]] = [heading]
    for row in classes:
        found = format_percent(row.recall), format_percent(row.precision), format_percent(row.f1)
        shares = found if row.n else ("–", found[1], "–")
        precision = (format_percent(row.average_precision),) if ranked else ()
        rows.append((row.label, *precision, *shares, f"{row.n:,}", f"{row.recordings:,}"))
    print_unbroken(console, rows)


def _leaks_and_notes(console: Console, result: "TrainResult | CvResult | EvaluateResult") -> None:
    leaks = result.leaks or {}
    if leaks.get("sentence"):
        heading = "leak:   " if leaks.get("clips") or leaks.get("identical_clips") else "warning:"
        console.print(f"[bold]{heading}[/bold]    {escape(on_one_line(str(leaks['sentence'])))}", soft_wrap=True)
    elif result.n and leaks.get("groups_known") and not hasattr(result, "met"):  # who evaluates tells what was met
        say(console, "leak:       none: no recording, and no identical sound, stands on both sides")
    if result.left_out:
        say(console, f"left out:   {counted(len(result.left_out), 'clip')} that cannot be used; --json lists them")
    for note in result.notes:
        say(console, f"note:       {note}")


def _cost(console: Console, result: "TrainResult | CvResult | EvaluateResult") -> None:
    told = f"took:       {result.seconds:.1f} s"
    if result.clips_per_second is not None:
        if result.train_s and result.train_s > result.seconds:  # a run that was resumed has trained before
            told += f" in this call; {result.train_s:.1f} s training in all"
        else:
            told += f", of which {result.train_s:.1f} s training" if result.train_s else ""
        told += f" at {result.clips_per_second:,.0f} clips/s"
    say(console, told)
