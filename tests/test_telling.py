"""Results in words: one is told in the singular, and lengths in a unit that fits."""

import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import soundfile
from rich.console import Console

from soundfold.cli.telling import _thresholds, _unknown, tell_cv, tell_evaluate, tell_train
from soundfold.cli.telling_data import tell_audit
from soundfold.data.audit import audit
from soundfold.data.reading import read_clips
from soundfold.evaluation import (
    CvResult,
    EvaluateResult,
    SplitSummary,
    TrainResult,
    calibrate,
    predictions_table,
    score,
    score_folds,
    score_title,
    unit_of,
)
from soundfold.evaluation.calibration_result import ThresholdScore, UnknownScores
from soundfold.evaluation.report import ReportRun, render_page


def evaluated(labels: list[str], groups_known: bool = True) -> EvaluateResult:
    n = len(labels)
    clips = pd.DataFrame(
        {
            "path": [f"{k}.wav" for k in range(n)], "label": labels, "fold": None, "start": np.nan, "end": np.nan,
            "group": [f"r{k}" for k in range(n)], "salience": 1,
        }
    )  # fmt: skip
    scores = score(predictions_table(clips, ("high", "low"), np.tile([0.75, 0.25], (n, 1))), groups_known=groups_known)
    return EvaluateResult(
        **dict(scores), recipe={}, split=SplitSummary(name="all clips", kind="all", n_test=n), leaks={}, seconds=1.0
    )


def borne_by(*folds: str) -> pd.DataFrame:
    """Return answers on clips of which several may bear a label each, in three folds; in others than these none does.

    The answers are right.
    """
    borne = [("a", "b", "a;b", "")[k % 4] if str(k // 4) in folds else "" for k in range(12)]
    clips = pd.DataFrame({
        "path": [f"{k}.wav" for k in range(12)], "fold": [str(k // 4) for k in range(12)], "label": borne,
        "group": [f"r{k}" for k in range(12)],
    })  # fmt: skip
    answers = np.array([[0.9 if name in label else 0.1 for name in "ab"] for label in borne])
    return predictions_table(clips, ("a", "b"), answers, several=True)


ACCOUNT = {"recipe": {}, "split": SplitSummary(name="folds", kind="fold", n_train=9, n_test=12), "seconds": 1.0}


def test_what_has_no_score_is_a_dash(capsys: pytest.CaptureFixture[str]) -> None:
    tell_cv(CvResult(**dict(score_folds(borne_by())), **ACCOUNT), Path("data"), {})
    told = capsys.readouterr().out
    assert "mean:       –  no held-out clip bears a label\n" in told
    assert "pooled:     –\nmacro F1:   –\n" in told
    assert all(line.split()[1:3] == ["–", "–"] for line in told.splitlines()[1:4])
    tell_train(TrainResult(**dict(score(borne_by())), **ACCOUNT))
    assert "mAP:        –\nmacro F1:   –\n" in capsys.readouterr().out


def test_a_fold_without_a_label_is_none_that_the_mean_is_over(capsys: pytest.CaptureFixture[str]) -> None:
    result = CvResult(**dict(score_folds(borne_by("0", "2"))), **ACCOUNT)
    tell_cv(result, Path("data"), {})
    told = capsys.readouterr().out
    assert "mean:       100.0 ± 0.0 %  over 2 folds\n" in told
    assert told.splitlines()[2].split()[:3] == ["1", "–", "–"]
    page = render_page([ReportRun(name="x", path="x", result=result)])
    assert "the mean over 2 folds" in page
    assert "mean\u00a0±\u00a0deviation over 2 folds" in page or "mean ± deviation over 2 folds" in page


@pytest.mark.parametrize("n", [1, 2, 1200])
def test_a_count_of_one_is_singular(capsys: pytest.CaptureFixture[str], n: int) -> None:
    tell_evaluate(evaluated(["odd"] * n))
    told = capsys.readouterr().out
    clips = "1 clip" if n == 1 else f"{n:,} clips"
    assert f"scored on:  all clips, {clips}\n" in told
    assert f"foreground: 0.0 %  of {clips}\n" in told
    bear = "bears a label" if n == 1 else "bear labels"
    assert f"{n:,} of {clips} {bear} that the model does not know (odd)" in told
    high = 100 * (1 - 0.025 ** (1 / n))
    assert n == 1 or f"95 % interval over {n:,} recordings: 0.0 to {high:.1f} %" in told


@pytest.mark.parametrize(
    ("train_s", "told"),
    [
        (0.5, "took:       1.0 s, of which 0.5 s training at 7 clips/s"),
        (48.0, "took:       1.0 s in this call; 48.0 s training in all at 7 clips/s"),
    ],
)
def test_a_resumed_run_tells_no_impossible_times(capsys: pytest.CaptureFixture[str], train_s: float, told: str) -> None:
    tell_evaluate(evaluated(["high"]).model_copy(update={"train_s": train_s, "clips_per_second": 7.0}))
    assert told in capsys.readouterr().out


@pytest.mark.parametrize("known", [True, False])
def test_what_the_interval_is_over_is_told_in_one_word_everywhere(
    capsys: pytest.CaptureFixture[str], known: bool
) -> None:
    word, other = ("recording", "file") if known else ("file", "recording")
    result = evaluated(["high", "low", "high"], groups_known=known)
    assert (result.interval_over, f'"interval_over":"{word}s"' in result.model_dump_json()) == (f"{word}s", True)
    tell_evaluate(result)
    told = capsys.readouterr().out
    assert f"95 % interval over 3 {word}s" in told
    assert f"The interval rests on 3 {word}s only" in told
    assert f"  clips  {word}s\n" in told
    page = render_page([ReportRun(name="x", path="x", result=result)])
    assert f"of 3 {word}s" in page
    assert f">{word}s</th>" in page
    assert f">{other}s</th>" not in page
    assert score_title(0.5, None, 3, 3, unit=unit_of(result)).endswith(f"3 clips of 3 {word}s")


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(2.5, "5 s in all"), (45, "1.5 min in all"), (999.7, "33.3 min in all"), (2700, "1.5 h in all")],
)
def test_the_length_of_all_clips_is_told_in_a_fitting_unit(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, seconds: float, told: str
) -> None:
    for label in ("cat", "dog"):
        (tmp_path / label).mkdir()
        soundfile.write(tmp_path / label / "a.wav", np.full(int(seconds * 100), 0.1), 100)
    tell_audit(audit(read_clips(tmp_path)))
    each = {999.7: "1,000", 2700: "2,700"}.get(seconds, f"{seconds:g}")
    assert f"lengths:    all {each} s; {told}\n" in capsys.readouterr().out


def test_labels_that_differ_in_case_are_told_once_and_as_what_could_spoil_a_score(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for number in range(10):
        folder = tmp_path / ("Dog", "dog")[number % 2] / f"r{number}"
        folder.mkdir(parents=True)
        soundfile.write(folder / "a.wav", np.random.default_rng(number).uniform(-0.1, 0.1, 8_000), 8_000)
    tell_audit(audit(read_clips(tmp_path)))
    told = " ".join(capsys.readouterr().out.split())
    assert told.count("differ only in upper and lower case") == 1
    assert "! The labels 'Dog', 'dog' differ only in upper and lower case; they are taken as different classes." in told
    assert "nothing found" not in told


@pytest.mark.parametrize("helps", [True, False])
def test_a_temperature_is_taken_only_where_the_log_loss_falls(capsys: pytest.CaptureFixture[str], helps: bool) -> None:
    """All answers are of 80 %; where those of one fold are all right and half the other's, each misleads the other."""
    numbers = np.arange(40)
    first, is_a = numbers < 20, numbers % 2 == 0
    right = first | (numbers % 4 < 2) | helps
    clips = pd.DataFrame({
        "path": [f"{k}.wav" for k in numbers], "fold": np.where(first, "1", "2"), "label": np.where(is_a, "a", "b"),
        "group": [f"r{k}" for k in numbers],
    })  # fmt: skip
    of_a = np.where(right == is_a, 0.8, 0.2)
    table = predictions_table(clips, ("a", "b"), np.stack([of_a, 1 - of_a], axis=1))
    told = calibrate(table)
    tell_cv(CvResult(**dict(score_folds(table)), **ACCOUNT, calibration=told, out="runs/x"), Path("data"), {})
    calibrated, following = (line for line in capsys.readouterr().out.splitlines() if line[:5] in ("calib", "next:"))
    assert f"log loss {told.before.log_loss:.3f} → {told.after.log_loss:.3f}" in calibrated
    assert ("so none is taken" in calibrated) != helps
    assert told.taken == (told.temperature if helps else 1.0)
    assert "--calibrate runs/x" in following, "for the rule for unknown sounds"
    run = ReportRun(name="x", path="x", result=CvResult(**dict(score_folds(table)), **ACCOUNT), predictions=table)
    assert ("so no temperature is taken" in render_page([run])) != helps


@pytest.mark.parametrize(("head_fit", "hinted"), [("discriminant", True), ("logistic", False), (None, False)])
def test_what_tells_background_worse_names_what_tells_it_better(
    capsys: pytest.CaptureFixture[str], head_fit: str | None, hinted: bool
) -> None:
    unknown = UnknownScores(
        wished_per_hour=None, false_alarms_per_hour=500.0, hours=1.0, kept=0.96, kept_ci95=None, right_before=0.7,
        right_after=0.7, auroc=0.9, kinds={"wind": 900.0},
    )  # fmt: skip
    training = {} if head_fit is None else {"head_fit": head_fit}
    _unknown(Console(), SimpleNamespace(unknown=unknown), {"training": training})
    assert ("--set training.head_fit=logistic" in capsys.readouterr().out) == hinted


@pytest.mark.parametrize(("threshold", "told"), [(None, "never"), (0.0, "always"), (0.423, "42.3 %")])
def test_it_is_told_from_which_probability_a_label_is_told(
    capsys: pytest.CaptureFixture[str], threshold: float | None, told: str
) -> None:
    row = ThresholdScore(
        label="dog", threshold=threshold, told=9, precision=1.0, precision_ci95=None, recall=0.75, recall_without=0.75
    )
    _thresholds(Console(), SimpleNamespace(thresholds=[row], unknown=None, precision=0.9))
    assert re.split(" {2,}", capsys.readouterr().out.splitlines()[-1])[1] == told
