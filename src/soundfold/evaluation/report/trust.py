"""The section on trust: how often answers of each probability are right, as they come and with a temperature."""

from soundfold.evaluation.calibration import calibrate, codes_of, reliability, truth_of
from soundfold.evaluation.calibration_result import CalibrationScores, Reliability
from soundfold.evaluation.predictions import is_of_several, probabilities_in
from soundfold.evaluation.report.markup import Html, element, join, table
from soundfold.evaluation.report.material import ReportRun
from soundfold.evaluation.report.verdict import unbroken
from soundfold.evaluation.results import CvResult, TrainResult, unit_of
from soundfold.wording import counted, format_interval, format_percent

__all__ = ["trust"]

_SIZE, _LEFT, _RIGHT, _TOP, _BOTTOM = 300, 46, 12, 10, 40
_INNER = _SIZE - _LEFT - _RIGHT
_HEIGHT = _TOP + _INNER + _BOTTOM
_LEAST_CLIPS = 30


def trust(run: ReportRun) -> Html | None:
    """Return reliability diagrams with what they come to; None where too few clips were scored to draw any.

    Those of a cross-validation are computed again from its predictions. A model that was calibrated by one tells what
    that gave it. Other runs are drawn as they answered, since a temperature that is fitted on the very clips it is
    judged by would flatter.
    """
    calibrated = run.result.calibration if isinstance(run.result, TrainResult) else None
    found, unit = run.predictions, unit_of(run.result)
    if found is None or len(found) < _LEAST_CLIPS or run.result.n_recordings in (None, 0, 1):
        own = None
    elif isinstance(run.result, CvResult):
        scores = calibrate(found)
        mend = "Keep it in a model file with: soundfold train … --calibrate RUN."
        if not scores.helps:
            mend = "The log loss does not fall, so no temperature is taken."
        return join(_words(), *_before_and_after(scores, "as the networks answer", mend, unit))
    else:
        several = is_of_several(found)
        told = reliability(probabilities_in(found), truth_of(found), codes_of(found), several=several)
        which = "as the model answers" if calibrated is None else "as the model answers, held out"
        own = join(element("div", _diagram(which, told, "train"), class_="panels"), _rows([(which, told)], unit))
    if calibrated is None:
        return None if own is None else join(_words(), own)
    kept = "It is in the model file" if calibrated.helps else "The log loss does not fall, so none is in the model file"
    mend = f"{kept}; these answers are those of the cross-validation that it was fitted on."
    parts = [
        *_before_and_after(calibrated, "as its recipe's networks answered", mend, unit),
        _unknown(calibrated),
        _thresholds(calibrated),
        own,
    ]
    return join(_words(), *(part for part in parts if part is not None))


def _before_and_after(scores: CalibrationScores, before: str, mend: str, unit: str) -> list[Html]:
    sides = [(before, scores.before), (f"with temperature {scores.temperature:.2f}", scores.after)]
    diagrams = [_diagram(what, side, kind) for (what, side), kind in zip(sides, ("train", "val"), strict=True)]
    without = "fold" if scores.parts == "folds" else "part of the recordings"
    spread = f"{min(scores.temperatures):.2f} to {max(scores.temperatures):.2f}"
    honest = f"Each {without} is drawn with the temperature that the others give ({spread}), never with its own. {mend}"
    panels = element("div", *diagrams, class_="panels")
    return [panels, _rows(sides, unit), element("p", honest, class_="faint")]


def _unknown(scores: CalibrationScores) -> Html | None:
    """Return what the rule for unknown sounds does, and what passes it."""
    told = scores.unknown
    if told is None:
        return None
    kept = f" ({format_interval(*told.kept_ci95)})" if told.kept_ci95 else ""
    before, after = format_percent(told.right_before), format_percent(told.right_after)
    words = f"Sounds unlike its classes are called unknown: {format_percent(told.kept)} of the clips are kept{kept}. "
    words += f"{told.false_alarms_per_hour:.0f} windows in an hour of background pass for a class, of kinds that the "
    words += f"rule was not fitted on. Right were {before} of all clips, {after} of those kept."
    if told.kept_amid is not None:
        amid = f" ({format_interval(*told.kept_amid_ci95)})" if told.kept_amid_ci95 else ""
        words += f" Amid soft background, as in a recording that goes on, {format_percent(told.kept_amid)}{amid} of "
        words += f"{counted(told.n_amid, 'short clip')} are kept."
    rows = [(kind, f"{rate:.0f}") for kind, rate in sorted(told.kinds.items(), key=lambda each: -each[1])]
    heads = ("background", "false alarms an hour")
    return join(element("p", words), table(heads, rows, caption="What passes for a class"))


def _thresholds(scores: CalibrationScores) -> Html | None:
    """Return from which probability each label is told, and what that costs."""
    if scores.thresholds is None:
        return None
    rows = [
        (
            one.label,
            "never" if one.threshold is None else f"{one.threshold:.2f}" if one.threshold else "always",
            "" if one.precision is None else format_percent(one.precision),
            format_interval(*one.precision_ci95) if one.precision_ci95 else "",
            format_percent(one.recall),
            format_percent(one.recall_without),
        )
        for one in scores.thresholds
    ]
    heads = ("label", "told from", "precision", "95 % interval", "recall", "recall without")
    wished = "" if scores.precision is None else f" for a precision of {format_percent(scores.precision)}"
    return table(heads, rows, caption=f"Thresholds{wished}")


def _words() -> Html:
    told = "Of the answers that were given with 80 %, eight in ten should be right. A dot stands for equally many "
    told += "answers: how sure they were, and how many of them were right. Under the slanting line the network was too "
    told += "sure of itself, above it not sure enough."
    return element("p", unbroken(told))


def _rows(sides: list[tuple[str, Reliability]], unit: str) -> Html:
    rows = [
        (
            what,
            format_percent(side.ece),
            format_interval(*side.ece_ci95) if side.ece_ci95 else "",
            f"{side.log_loss:.3f}",
        )
        for what, side in sides
    ]
    heads = ("", "calibration error (ECE)", f"95 % interval over {unit}s", "log loss")
    return table(heads, rows, caption="How far probabilities can be trusted")


def _diagram(what: str, side: Reliability, kind: str) -> Html:
    """Return accuracy over confidence; `kind` decides the colour."""

    def x(value: float) -> float:
        return round(_LEFT + _INNER * value, 1)

    def y(value: float) -> float:
        return round(_TOP + _INNER * (1 - value), 1)

    drawn: list[Html] = []
    for tick in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0):
        drawn.append(element("line", x1=x(0), x2=x(1), y1=y(tick), y2=y(tick), class_="grid"))
        drawn.append(element("text", f"{100 * tick:.0f}", x=x(0) - 6, y=y(tick) + 4, text_anchor="end"))
        drawn.append(element("text", f"{100 * tick:.0f}", x=x(tick), y=y(0) + 16, text_anchor="middle"))
    drawn.append(element("text", "probability told, %", x=x(0.5), y=_HEIGHT - 6, text_anchor="middle"))
    drawn.append(element("line", x1=x(0), y1=y(0), x2=x(1), y2=y(1), class_="axis"))
    for one in side.bins:  # how far each dot is off
        at = x(one.confidence)
        drawn.append(element("line", x1=at, x2=at, y1=y(one.confidence), y2=y(one.accuracy), class_=f"gap {kind}"))
    points = " ".join(f"{x(one.confidence)},{y(one.accuracy)}" for one in side.bins)
    drawn.append(element("polyline", points=points, class_=f"line {kind}"))
    drawn += [
        element("circle", cx=x(one.confidence), cy=y(one.accuracy), r="3.5", class_=f"point {kind}")
        for one in side.bins
    ]
    told = "; ".join(f"{format_percent(b.confidence)} told, {format_percent(b.accuracy)} right" for b in side.bins)
    answers = counted(sum(one.n for one in side.bins), "answer")
    picture = element(
        "svg", element("title", f"Share of right answers over the probability told, {answers}: {told}"), *drawn,
        viewBox=f"0 0 {_SIZE} {_HEIGHT}", role="img", class_="chart square",
    )  # fmt: skip
    return element("figure", element("figcaption", f"right answers, %, {what}"), picture)
