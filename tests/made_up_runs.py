"""Runs for reports that nobody made, with names that a page must survive."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from soundfold.evaluation import SplitSummary, TrainResult, predictions_table, score
from soundfold.evaluation.report import ReportRun, surest_mistakes
from soundfold.jobs.kept_result import digests
from soundfold.recipe import Recipe

ODD = (
    "<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "naïve café", "كلب ينبح", "שלום", "a & b", "狗",
    "x" * 90, "\x00nul", "\u202eevil", "</style><style>", "$style",
)  # fmt: skip


def made_up(labels: tuple[str, ...], n: int = 240, *, name: str = "run", **changes: object) -> ReportRun:
    """A training whose clips, labels and folders are called as `labels` say, right about half of the time."""
    generator = np.random.default_rng(0)
    probabilities = generator.dirichlet(np.full(len(labels), 0.3), n)
    answers = probabilities.argmax(axis=1)
    truth = np.where(generator.random(n) < 0.5, generator.integers(0, len(labels), n), answers)
    table = predictions_table(
        pd.DataFrame({
            "path": [f"/data/{labels[k % len(labels)]}/{k}.wav".replace("\x00", "") for k in range(n)],
            "label": [labels[k] for k in truth], "fold": None,
            "group": [f"{labels[k % len(labels)]} {k // 3}" for k in range(n)], "start": 1.0, "end": 2.5,
        }),
        labels, probabilities,
    )  # fmt: skip
    sentence = "4 % of test clips share a recording with training; expect less on new recordings."
    leaks = {"clips": 9, "share": 9 / n, "recordings": list(labels[:3]), "identical_clips": 2, "groups_known": True,
             "sentence": sentence}  # fmt: skip
    result = TrainResult(
        **dict(score(table)), recipe=Recipe().as_dict() | {"name": labels[0]}, leaks=leaks, seconds=3.0, train_s=1.0,
        split=SplitSummary(name=labels[1], kind="random", n_train=500, n_test=n), hardware=labels[-1],
        left_out=[{"path": labels[-2], "reason": labels[0]}], versions={"soundfold": labels[1]},
    )  # fmt: skip
    clips, wrong = surest_mistakes(table, 5)
    values = {"predictions": table, "clips": tuple(clips), "wrong": wrong, "data": "/data"} | changes
    return ReportRun(name=name, path=f"/runs/{labels[0]}", result=result, **values)


def put_predictions(run: Path, table: pd.DataFrame) -> None:
    """Put predictions into the folder of a finished run, as those that its result was found in."""
    table.to_parquet(run / "predictions.parquet", index=False)
    told = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    told["files"] = digests(run, "predictions.parquet")
    (run / "metrics.json").write_text(json.dumps(told), encoding="utf-8")
