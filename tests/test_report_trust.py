"""The report's section on trust: reliability diagrams, before and after, of what was kept."""

import numpy as np
import pandas as pd

from soundfold.evaluation import CvResult, EvaluateResult, SplitSummary, predictions_table, score, score_folds
from soundfold.evaluation.report import ReportRun, render_page
from soundfold.evaluation.report.trust import trust


def a_run(clips: int, *, cross_validated: bool) -> ReportRun:
    """Return a run whose network is far too sure of answers that are right in half of the cases."""
    generator = np.random.default_rng(0)
    values = generator.dirichlet(np.full(3, 0.1), clips)
    best = values.argmax(axis=1)
    truth = np.where(generator.random(clips) < 0.5, best, (best + 1) % 3)
    table = pd.DataFrame({"path": [f"{k}.wav" for k in range(clips)], "label": [f"<{k}>" for k in truth]})
    table = table.assign(fold=[str(k % 2) for k in range(clips)], group=[f"r{k // 4}" for k in range(clips)])
    predictions = predictions_table(table, [f"<{k}>" for k in range(3)], values)
    account = {"recipe": {}, "split": SplitSummary(name="all", kind="all", n_test=clips), "seconds": 1.0}
    result = (
        CvResult(**dict(score_folds(predictions)), **account)
        if cross_validated
        else EvaluateResult(**dict(score(predictions)), **account)
    )
    return ReportRun(name="run", path="run", result=result, predictions=predictions)


def test_a_cross_validation_is_drawn_before_and_after() -> None:
    page = render_page([a_run(400, cross_validated=True)])
    assert "as the networks answer" in page
    assert "with temperature" in page
    drawn = str(trust(a_run(400, cross_validated=True)))
    assert drawn.count("<svg") == 2
    assert drawn.count("<circle") == 30, "15 bins a diagram"


def test_other_runs_are_drawn_as_they_answered() -> None:
    drawn = str(trust(a_run(400, cross_validated=False)))
    assert drawn.count("<svg") == 1
    assert "with temperature" not in drawn


def test_few_clips_are_not_drawn() -> None:
    assert trust(a_run(20, cross_validated=True)) is None
