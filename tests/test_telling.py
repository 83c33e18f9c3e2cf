"""Results in words: one is told in the singular, and lengths in a unit that fits."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from soundfold.cli.telling import tell_audit, tell_evaluate
from soundfold.data.audit import audit
from soundfold.data.reading import read_clips
from soundfold.evaluation import EvaluateResult, SplitSummary, predictions_table, score, score_title, unit_of
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


@pytest.mark.parametrize("n", [1, 2, 1200])
def test_a_count_of_one_is_singular(capsys: pytest.CaptureFixture[str], n: int) -> None:
    tell_evaluate(evaluated(["odd"] * n))
    told = capsys.readouterr().out
    clips = "1 clip" if n == 1 else f"{n:,} clips"
    assert f"scored on:  all clips, {clips}\n" in told
    assert f"foreground: 0.0 %  of {clips}\n" in told
    bear = "bears a label" if n == 1 else "bear labels"
    assert f"{n:,} of {clips} {bear} that the model does not know (odd)" in told
    assert n == 1 or f"95 % interval over {n:,} recordings: 0.0 to 0.0 %" in told


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
