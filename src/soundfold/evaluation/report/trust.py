"""The section on trust: how often answers of each probability are right, as they come and with a temperature."""

from soundfold.evaluation.calibration import calibrate, codes_of, reliability, truth_of
from soundfold.evaluation.calibration_result import Reliability
from soundfold.evaluation.predictions import probabilities_in
from soundfold.evaluation.report.markup import Html, element, join, table
from soundfold.evaluation.report.material import ReportRun
from soundfold.evaluation.report.verdict import unbroken
from soundfold.evaluation.results import CvResult, unit_of
from soundfold.wording import counted, format_interval, format_percent

__all__ = ["trust"]

_SIZE, _LEFT, _RIGHT, _TOP, _BOTTOM = 300, 46, 12, 10, 40
_INNER = _SIZE - _LEFT - _RIGHT
_HEIGHT = _TOP + _INNER + _BOTTOM
_LEAST_CLIPS = 30


def trust(run: ReportRun) -> Html | None:
    """Return reliability diagrams with what they come to; None where too few clips were scored to draw any.

    Those of a cross-validation are computed again from its predictions; other runs are drawn as they answered, since a
    temperature that is fitted on the very clips it is judged by would flatter.
    """
    found = run.predictions
    if found is None or len(found) < _LEAST_CLIPS or run.result.n_recordings in (None, 0, 1):
        return None
    if not isinstance(run.result, CvResult):
        told = reliability(probabilities_in(found), truth_of(found), codes_of(found))
        return join(_words(), element("div", _diagram("as the model answers", told, "train"), class_="panels"), _rows(
            [("as the model answers", told)], unit_of(run.result)
        ))  # fmt: skip
    scores = calibrate(found)
    sides = [("as the networks answer", scores.before), (f"with temperature {scores.temperature:.2f}", scores.after)]
    diagrams = [_diagram(what, side, kind) for (what, side), kind in zip(sides, ("train", "val"), strict=True)]
    without = "fold" if scores.parts == "folds" else "part of the recordings"
    spread = f"{min(scores.temperatures):.2f} to {max(scores.temperatures):.2f}"
    honest = f"Each {without} is drawn with the temperature that the others give ({spread}), never with its own. "
    honest += "Keep it in a model file with: soundfold train … --calibrate RUN."
    return join(
        _words(),
        element("div", *diagrams, class_="panels"),
        _rows(sides, unit_of(run.result)),
        element("p", honest, class_="faint"),
    )


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
