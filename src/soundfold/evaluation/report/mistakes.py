"""The clips that a model was surest and wrong about: which they are, and how each is shown."""

import math
from pathlib import PurePath

import numpy as np
import pandas as pd

from soundfold.evaluation.predictions import THRESHOLD, is_of_several, labels_in, probabilities_in, truth_in
from soundfold.evaluation.report.markup import Html, element, join, name
from soundfold.evaluation.report.material import ReportClip, ReportRun, Sound
from soundfold.evaluation.report.sounds import band_of
from soundfold.evaluation.results import unit_of
from soundfold.wording import counted, format_percent

__all__ = ["mistakes", "surest_mistakes"]

_FREQUENCIES = {500: "0.5 kHz", 2000: "2 kHz", 5000: "5 kHz"}
_WIDTH, _HEIGHT, _LEFT, _FOOT = 320, 132, 46, 18


def surest_mistakes(table: pd.DataFrame, most: int) -> tuple[list[ReportClip], int]:
    """Return the wrong answers of highest probability, one a recording, and how many clips were wrong in all.

    A recording that is mistaken once is often mistaken in each of its clips; the surest stands for them.

    Args:
        table: predictions.
        most: how many clips, ≥ 0.
    """
    several = is_of_several(table)
    wrong = _wrong_of_several(table) if several else table[table["label"] != table["predicted"]]
    wrong = wrong.sort_values(["probability", "path"], ascending=[False, True], kind="stable")
    mistaken = wrong["group"].value_counts()
    clips = []
    for _, row in wrong.drop_duplicates("group").head(most).iterrows():
        clips.append(
            ReportClip(
                path=row["path"], start=_seconds(row.get("start")), end=_seconds(row.get("end")), label=row["label"],
                predicted=row["predicted"], probability=float(row["probability"]),
                about_truth="" if several else _about_truth(row),
                fold=None if pd.isna(row["fold"]) else row["fold"], group=row["group"],
                others=int(mistaken[row["group"]]) - 1,
            )
        )  # fmt: skip
    return clips, len(wrong)


def _about_truth(row: pd.Series) -> str:
    given = row.get(f"p:{row['label']}")
    return ", a label it does not know" if given is None else f", given {format_percent(float(given))}"


def _wrong_of_several(table: pd.DataFrame) -> pd.DataFrame:
    """Return the clips of which a label was told wrongly or missed: each with the surest such answer as `predicted`."""
    labels, given, truth = labels_in(table), probabilities_in(table), truth_in(table)
    sure = np.where(truth, 1.0 - given, given)  # of the opposite of what is true
    mistaken = (given > THRESHOLD) != truth
    worst = np.where(mistaken, sure, -1.0).argmax(axis=1)
    rows = np.arange(len(table))
    told = [f"no {labels[k]}" if truth[row, k] else labels[k] for row, k in zip(rows, worst, strict=True)]
    answered = table.assign(predicted=told, probability=sure[rows, worst])
    answered["label"] = answered["label"].where(answered["label"] != "", "none of its labels")
    wrong: pd.DataFrame = answered[mistaken.any(axis=1)]
    return wrong


def mistakes(run: ReportRun) -> Html | None:
    """Return the clips that a run was surest and wrong about, each with a player; None where no answers were kept."""
    if run.predictions is None:
        return None
    if not run.wrong:
        return element("p", "Every clip was answered rightly.")
    of = f"{counted(run.wrong, 'clip')} of {len(run.predictions):,} {'was' if run.wrong == 1 else 'were'} wrong"
    if not run.clips:
        return element("p", f"{of}.")
    many = "This is the one" if len(run.clips) == 1 else f"These are the {len(run.clips)}"
    told = (
        f"{of}. {many} with the highest probability, one a {unit_of(run.result)}: the answer, and under it the truth."
    )
    heard = [clip.sound for clip in run.clips if clip.sound is not None]
    if any(sound.cut for sound in heard):
        told += f" Of longer clips the first {max(sound.seconds for sound in heard):g} seconds are here."
    parts = [element("p", told)]
    if lacking := len(run.clips) - len(heard):
        reasons = {clip.silent_because for clip in run.clips if clip.sound is None}
        why = f": {reasons.pop()}" if len(reasons) == 1 else ""
        who = f"{lacking} of them" if heard else "None of them" if lacking > 1 else "It"
        parts.append(element("p", f"{who} can{'' if who.startswith('None') else 'not'} be heard{why}.", class_="warn"))
    cards = [_card(clip, run.data, unit_of(run.result)) for clip in run.clips]
    return join(*parts, element("ol", *cards, class_="cards"))


def _card(clip: ReportClip, data: str | None, unit: str) -> Html:
    answer = element(
        "p", name(clip.predicted, class_="answer"), " ", element("span", format_percent(clip.probability)),
        class_="answered",
    )  # fmt: skip
    given = element("span", clip.about_truth, class_="faint")
    truth = element("p", "in truth ", name(clip.label, class_="truth"), given)
    about = [f"fold {clip.fold}"] if clip.fold is not None else []
    about.append(f"{unit} {clip.group}")
    if clip.others:
        about.append(f"{counted(clip.others, 'more clip')} of it wrong")
    where = element("p", name(_told_path(clip, data)), class_="where")
    foot = element("p", name(" · ".join(about)), class_="where")
    if clip.sound is None:
        silent = element("p", clip.silent_because, class_="silent")
        return element("li", answer, truth, silent, where, foot)
    title = f"{clip.predicted}, in truth {clip.label}"
    player = element("audio", controls=True, preload="metadata", src=clip.sound.uri, aria_label=title)
    return element("li", answer, truth, _picture(clip.sound, title), player, where, foot)


def _picture(sound: Sound, title: str) -> Html:
    """Return a spectrogram with its axes."""
    high = _HEIGHT - _FOOT
    drawn = [
        element(
            "image", href=sound.picture, x=_LEFT, y="0", width=_WIDTH - _LEFT, height=high, preserveAspectRatio="none"
        )
    ]
    for frequency, told in _FREQUENCIES.items():
        y = high * (1 - band_of(frequency))
        drawn.append(element("line", x1=_LEFT - 4, x2=_LEFT, y1=f"{y:.1f}", y2=f"{y:.1f}", class_="axis"))
        drawn.append(element("text", told, x=_LEFT - 7, y=f"{y + 4:.1f}", text_anchor="end"))
    drawn.append(element("text", "0", x=_LEFT, y=_HEIGHT - 4))
    drawn.append(element("text", f"{sound.seconds:.3g} s", x=_WIDTH, y=_HEIGHT - 4, text_anchor="end"))
    return element(
        "svg", element("title", f"Spectrogram: {title}"), *drawn, viewBox=f"0 0 {_WIDTH} {_HEIGHT}", role="img",
        class_="spectrogram",
    )  # fmt: skip


def _told_path(clip: ReportClip, data: str | None) -> str:
    path = PurePath(clip.path)
    told = str(path.relative_to(data)) if data is not None and path.is_relative_to(data) else str(path)
    if clip.start is None and clip.end is None:
        return told
    end = "its end" if clip.end is None else f"{clip.end:g} s"
    return f"{told}, {clip.start or 0:g} s to {end}"


def _seconds(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None
