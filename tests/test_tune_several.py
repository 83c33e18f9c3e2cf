"""Searching where clips bear several labels: by mean average precision, and as honest as with one label a clip."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from optuna.trial import TrialState
from sklearn.metrics import average_precision_score

import soundfold
from conftest import SMALL
from searches import QUICK, pretend, search_only
from soundfold.cli import main
from soundfold.data.reading import read_clips
from soundfold.data.splits import fold_splits
from soundfold.evaluation import CvResult, read_predictions
from soundfold.jobs import tuning_trial
from soundfold.jobs.tuning_result import TuneResult
from soundfold.training import FitJob
from tone_tables import write_tones

Trained = list[tuple[FitJob, float]]
"""What trials trained, and the mean average precision of what they held out."""


@pytest.fixture(scope="module")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tones(tmp_path_factory.mktemp("tones") / "data", clips=36)


@pytest.fixture(scope="module")
def asked(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A search from a recipe that learns nothing, so that something better is there to be found."""
    folder = tmp_path_factory.mktemp("tuned")
    (folder / "space.yaml").write_text("training.lr: [0.005, 0.01]\n")
    places = {"space": folder / "space.yaml", "out": folder / "run", "cache": folder / "cache"}
    changes = [*SMALL, "training.lr=0.0000001"]
    return {"data": tones, "recipe": "tutorial", "changes": changes, **places, **QUICK, "folds": [1, 2], "trials": 3}


@pytest.fixture(scope="module")
def trained() -> Trained:
    return []


@pytest.fixture(scope="module")
def tuned(asked: dict[str, Any], trained: Trained) -> Iterator[TuneResult]:
    """The whole search, of which each trial's trainings are noted down."""
    train = tuning_trial.fit

    def fit(job: FitJob, *rest: Any) -> Any:
        fitted = train(job, *rest)
        trained.append((job, fitted.history[-1].val_map))
        return fitted

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(tuning_trial, "fit", fit)
        yield soundfold.tune(**asked)


def of_trial(trained: Trained, search: str, trial: str) -> Trained:
    return [(job, reached) for job, reached in trained if f".trials/{search}/{trial}/" in job.folder.as_posix()]


def mean_precision(table: pd.DataFrame) -> float:
    labels = [name[2:] for name in table.columns if name.startswith("t:")]
    truth, ranks = table[[f"t:{label}" for label in labels]], table[[f"p:{label}" for label in labels]]
    return float(average_precision_score(truth, ranks))


def test_the_scores_are_the_precisions_of_the_answers_that_were_kept(tuned: TuneResult) -> None:
    run = Path(tuned.out)
    after, before = (read_predictions(place / "predictions.parquet") for place in (run, run / "untuned"))
    assert sorted(after["fold"].unique()) == ["1", "2"]
    for fold in tuned.folds:
        mine, plain = (table[table["fold"] == str(fold.fold)] for table in (after, before))
        assert fold.mean_average_precision == pytest.approx(mean_precision(mine))
        assert fold.mean_average_precision_untuned == pytest.approx(mean_precision(plain))
        assert fold.accuracy is fold.accuracy_untuned is fold.inner_accuracy is fold.inner_accuracy_untuned is None
    found = [fold.mean_average_precision for fold in tuned.folds]
    assert tuned.mean_average_precision == pytest.approx(np.mean(found))
    assert tuned.mean_average_precision_std == pytest.approx(np.std(found, ddof=1))
    assert tuned.mean_average_precision_pooled == pytest.approx(mean_precision(after))
    assert tuned.accuracy is tuned.accuracy_mean is tuned.accuracy_pooled is tuned.accuracy_ci95 is None
    assert tuned.gain.difference == pytest.approx(mean_precision(after) - mean_precision(before))
    assert tuned.gain.difference > 0
    assert "points of mAP" in tuned.sentence
    assert "The search took 9 trials" in tuned.sentence
    assert tuned.untuned == CvResult.model_validate_json((run / "untuned" / "metrics.json").read_text())
    assert (run / "average_precision.png").exists()
    assert not (run / "confusion.png").exists()


def test_a_trial_is_scored_by_the_mean_of_the_precisions_over_its_inner_folds(
    tuned: TuneResult, trained: Trained
) -> None:
    for fold in tuned.folds:
        inner = [reached for _, reached in of_trial(trained, f"fold_{fold.fold}", "trial0")]
        assert len(inner) == QUICK["inner"]
        assert fold.inner_mean_average_precision_untuned == pytest.approx(np.mean(inner))
        best = max(
            np.mean([reached for _, reached in of_trial(trained, f"fold_{fold.fold}", f"trial{number}")] or [0])
            for number in range(3)
        )
        assert fold.inner_mean_average_precision == pytest.approx(best)
    kept = [reached for _, reached in of_trial(trained, "all_folds", "trial0")]
    assert tuned.keep.inner_mean_average_precision_untuned == pytest.approx(np.mean(kept))
    assert tuned.keep.inner_accuracy is None


def test_no_trial_is_given_a_clip_of_the_outer_test_fold(tones: Path, tuned: TuneResult, trained: Trained) -> None:
    for split in fold_splits(read_clips(tones), ["1", "2"]):
        outer = set(split.test)  # the store's rows are the table's, as every clip is usable
        mine = of_trial(trained, f"fold_{split.fold}", "trial0") + of_trial(trained, f"fold_{split.fold}", "trial1")
        assert len(mine) == 2 * QUICK["inner"]
        for job, _ in mine:
            assert job.several
            assert not outer & (set(job.train) | set(job.held_out))
            assert not set(job.train) & set(job.held_out)
    assert len(tuned.folds) == 2


def test_the_document_tells_precisions_and_no_accuracy(
    tuned: TuneResult, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("soundfold.jobs.tune.tune", lambda *_, **__: tuned)
    assert main(["tune", tuned.out, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["mean_average_precision"] == tuned.mean_average_precision
    assert told["accuracy"] is None
    for part in (told["keep"], *told["folds"]):
        assert part["inner_accuracy"] is None
        assert part["inner_mean_average_precision"] > 0
    assert TuneResult.model_validate(told) == tuned


def test_people_are_told_the_measure(
    tuned: TuneResult, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("soundfold.jobs.tune.tune", lambda *_, **__: tuned)
    assert main(["tune", tuned.out]) == 0
    lines = {line.split(":")[0]: line for line in capsys.readouterr().out.splitlines()}
    reached, before = (
        100 * (value or 0) for value in (tuned.mean_average_precision, tuned.untuned.mean_average_precision)
    )
    spread = 100 * (tuned.mean_average_precision_std or 0)
    assert lines["mean"] == f"mean:   mAP tuned {reached:.1f} ± {spread:.1f} %, untuned {before:.1f} %"
    assert lines["fold 1"].startswith("fold 1: mAP tuned ")
    assert "points of mAP" in lines["gain"]
    assert any(line.startswith("        inside its search mAP ") for line in lines.values())


def test_laggards_are_given_up_by_their_precision(tones: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "space.yaml").write_text("training.lr: [0.001, 0.002, 0.003, 0.0001, 0.0002, 0.0003]\n")
    pretend(monkeypatch, lambda recipe, _: 0.8 if recipe.training.lr >= 0.001 else 0.1)
    changes = (*SMALL, "training.epochs=10", "training.lr=0.005")
    searched = search_only(
        monkeypatch, tones, tmp_path / "run", space=tmp_path / "space.yaml", trials=12, changes=changes
    )
    for trials in searched.trials.values():
        for trial in trials[4:]:
            if "same_as" not in trial.user_attrs:
                leads = trial.params["training.lr"] >= 0.001
                assert trial.state == (TrialState.COMPLETE if leads else TrialState.PRUNED)
                assert trial.value == pytest.approx(0.8 if leads else 0.1)
    assert any(trial.state == TrialState.PRUNED for trials in searched.trials.values() for trial in trials)


def test_a_search_goes_on_from_where_it_was(asked: dict[str, Any], tuned: TuneResult) -> None:
    later = soundfold.tune(**asked | {"trials": 4, "resume": True})
    assert later.search.trials == 12
    assert later.untuned == tuned.untuned
    for before, after in zip(tuned.folds, later.folds, strict=True):
        assert after.inner_mean_average_precision_untuned == before.inner_mean_average_precision_untuned
        assert (after.inner_mean_average_precision or 0) >= (before.inner_mean_average_precision or 0)
