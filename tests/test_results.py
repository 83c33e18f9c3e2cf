"""Results: their JSON is whole, comes back without loss, and can be computed again from the predictions."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

import soundfold.evaluation
from soundfold.evaluation import (
    CvResult,
    EvaluateResult,
    FoldScore,
    SplitSummary,
    TrainResult,
    predictions_table,
    read_predictions,
    score,
    score_folds,
    write_predictions,
)
from soundfold.evaluation.result_model import Frozen, OnlySome

LABELS = ("dog", "cat")

SCORED = {
    "accuracy",
    "accuracy_ci95",
    "macro_f1",
    "macro_f1_ci95",
    "n",
    "n_recordings",
    "interval_over",
    "labels",
    "unknown_labels",
    "per_class",
    "confusion",
    "foreground",
    "background",
    "notes",
}
ACCOUNT = {
    "recipe",
    "split",
    "leaks",
    "seconds",
    "clips_per_second",
    "store_s",
    "train_s",
    "left_out",
    "out",
    "versions",
    "hardware",
}
OF_CV = {"accuracy_mean", "accuracy_std", "accuracy_pooled", "folds", "model"}
OF_EVALUATE = {"met", "not_met"}


@dataclass(frozen=True)
class LeftOut:
    """Stands for `soundfold.data.LeftOut`, which results take as it is."""

    path: str
    reason: str


def a_table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    clips = pd.DataFrame(
        {
            "path": [f"/{k}.wav" for k in range(30)],
            "label": rng.choice([*LABELS, "yak"], 30),
            "fold": [str(k % 3 + 1) for k in range(30)],
            "group": [f"r{k // 3}" for k in range(30)],
            "salience": rng.choice([1, 2], 30),
        }
    )
    return predictions_table(clips, LABELS, rng.dirichlet([1, 1], 30))


def an_account() -> dict[str, Any]:
    return {
        "recipe": {"name": "scratch", "training": {"epochs": 3, "lr": 1e-3}, "tags": ["a"]},
        "split": SplitSummary(name="fold 3 held out", kind="fold", fold="3", n_train=20, n_test=10),
        "leaks": {"clips": 1, "share": 0.1, "recordings": ["r1"], "sentence": "10 % of test clips…"},
        "seconds": 12.25,
        "clips_per_second": 1 / 3,
        "store_s": 0.5,
        "train_s": 3.0,
        "left_out": (LeftOut("/x.wav", "is empty (0 bytes)"),),
        "out": "runs/1",
        "versions": {"soundfold": "0.1.0"},
        "hardware": "2 cores",
    }


def train_result(table: pd.DataFrame) -> TrainResult:
    return TrainResult(**dict(score(table)), **an_account())


def evaluate_result(table: pd.DataFrame) -> EvaluateResult:
    return EvaluateResult(**dict(score(table)), **an_account())


def cv_result(table: pd.DataFrame) -> CvResult:
    return CvResult(**dict(score_folds(table, train_s={"1": 1.5})), **an_account())


RESULTS = pytest.mark.parametrize("result_of", [train_result, evaluate_result, cv_result])


@RESULTS
def test_json_comes_back_without_loss(result_of: Callable[[pd.DataFrame], BaseModel]) -> None:
    result = result_of(a_table())
    text = result.model_dump_json(indent=2)
    assert type(result).model_validate_json(text) == result
    assert json.loads(text) == result.model_dump(mode="json")
    own = OF_CV if isinstance(result, CvResult) else OF_EVALUATE if isinstance(result, EvaluateResult) else set()
    assert set(json.loads(text)) == SCORED | ACCOUNT | own


@RESULTS
def test_every_score_can_be_computed_again_from_the_file(
    tmp_path: Path, result_of: Callable[[pd.DataFrame], BaseModel]
) -> None:
    table = a_table()
    result = result_of(table)
    write_predictions(tmp_path / "predictions.parquet", table)
    assert result_of(read_predictions(tmp_path / "predictions.parquet")) == result


def test_json_as_the_design_says() -> None:
    found = json.loads(cv_result(a_table()).model_dump_json())
    assert [set(fold) for fold in found["folds"]] == [{"fold", "accuracy", "macro_f1", "n", "train_s"}] * 3
    assert [fold["fold"] for fold in found["folds"]] == [1, 2, 3]
    assert found["split"]["fold"] == 3
    assert isinstance(found["accuracy_ci95"], list)
    assert set(found["foreground"]) == {"accuracy", "n"}
    assert set(found["per_class"][0]) == {"label", "n", "recordings", "precision", "recall", "recall_ci95", "f1"}
    assert np.shape(found["confusion"]) == (3, 2)
    assert sum(map(sum, found["confusion"])) == found["n"] == 30
    assert found["left_out"] == [{"path": "/x.wav", "reason": "is empty (0 bytes)"}]


def test_results_of_before_recalls_had_intervals_are_read() -> None:
    result = cv_result(a_table())
    told = json.loads(result.model_dump_json())
    for row in told["per_class"]:
        del row["recall_ci95"]
    again = CvResult.model_validate_json(json.dumps(told))
    assert again.per_class == tuple(row.model_copy(update={"recall_ci95": None}) for row in result.per_class)


def test_training_on_everything_scores_nothing() -> None:
    account = an_account() | {"split": SplitSummary(name="everything", kind="all", n_train=30, n_test=0)}
    result = TrainResult(labels=LABELS, **account)
    found = json.loads(result.model_dump_json())
    assert found["accuracy"] is None
    assert found["per_class"] is None
    assert found["n"] == 0
    assert TrainResult.model_validate_json(result.model_dump_json()) == result


@pytest.mark.parametrize(
    ("fold", "written"), [("7", 7), ("10", 10), ("01", "01"), ("a", "a"), ("", ""), (3, 3), ("²", "²")]
)
def test_folds_that_are_whole_numbers_are_numbers(fold: str | int, written: str | int) -> None:
    result = FoldScore(fold=fold, accuracy=0.5, macro_f1=0.5, n=2)
    assert result.fold == written
    assert FoldScore.model_validate_json(result.model_dump_json()) == result


@given(st.floats(0, 1))
def test_fractions_are_not_rounded(fraction: float) -> None:
    text = FoldScore(fold="1", accuracy=fraction, macro_f1=fraction, n=1).model_dump_json()
    assert json.loads(text)["accuracy"] == fraction


def test_results_are_frozen_and_strict_about_names() -> None:
    result = FoldScore(fold="1", accuracy=0.5, macro_f1=0.5, n=2)
    with pytest.raises(ValidationError, match="frozen"):
        result.n = 3  # type: ignore[misc]
    with pytest.raises(ValidationError, match="Extra inputs"):
        FoldScore(fold="1", accuracy=0.5, macro_f1=0.5, n=2, macro=1)  # type: ignore[call-arg]
    with pytest.raises(ValidationError, match="finite"):
        FoldScore(fold="1", accuracy=float("nan"), macro_f1=0.5, n=2)


def test_only_what_is_marked_so_is_left_out_of_the_json_and_names_decide_nothing() -> None:
    class Earlier(Frozen):
        average_precision: float | None = None
        ranked: OnlySome[float] = None

    class Later(Earlier):
        seeds: float | None = None

    assert json.loads(Later().model_dump_json()) == {"average_precision": None, "seeds": None}
    assert json.loads(Later(ranked=0.5).model_dump_json())["ranked"] == 0.5


def test_all_lists_the_public_names() -> None:
    public = {
        name
        for name, value in vars(soundfold.evaluation).items()
        if not name.startswith("_") and not isinstance(value, type(soundfold))
    }
    assert public == set(soundfold.evaluation.__all__)
