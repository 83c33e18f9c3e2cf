"""The figure of a run's scores: drawn once all is scored, and again where it was lost."""

import numpy as np
import pandas as pd
import pytest

import soundfold
from conftest import SMALL
from soundfold.evaluation import predictions_table, score_folds
from soundfold.jobs.score_figure import has_score_figure, save_score_figure

OPTIONS = {"recipe": "tutorial", "changes": (*SMALL, "training.epochs=1")}


def train(data, out, cache, **options):
    return soundfold.train(data, out=out, cache=cache, test_fold=3, **OPTIONS, **options)


def cross_validate(data, out, cache, **options):
    return soundfold.cross_validate(data, out=out, cache=cache, **OPTIONS, **options)


@pytest.mark.parametrize("verb", [train, cross_validate])
def test_a_figure_that_was_lost_is_drawn_when_the_run_goes_on(verb, small_data, tmp_path):
    run, cache = tmp_path / "run", tmp_path / "cache"
    verb(small_data, run, cache)
    drawn = (run / "confusion.png").read_bytes()
    assert not any(has_score_figure(fold) for fold in run.glob("fold*")), "one figure, of all folds"
    for lost in ("metrics.json", "confusion.png"):
        (run / lost).unlink()
    verb(small_data, run, cache, resume=True)
    assert (run / "confusion.png").read_bytes() == drawn


@pytest.mark.parametrize("verb", [train, cross_validate])
def test_a_run_that_is_scored_anew_is_drawn_anew(verb, small_data, tmp_path):
    run, cache = tmp_path / "run", tmp_path / "cache"
    verb(small_data, run, cache)
    drawn = (run / "confusion.png").read_bytes()
    (run / "confusion.png").write_bytes(b"of other scores")
    (run / "metrics.json").unlink()
    verb(small_data, run, cache, resume=True)
    assert (run / "confusion.png").read_bytes() == drawn


def test_a_finished_training_without_its_figure_gets_it_back(small_data, tmp_path):
    run, cache = tmp_path / "run", tmp_path / "cache"
    train(small_data, run, cache)
    (run / "confusion.png").unlink()
    train(small_data, run, cache, resume=True)
    assert has_score_figure(run)


def table(right, folds, several=False):
    """Return predictions of which `right` are right, a recording a clip, in folds of equal size."""
    n = len(right)
    truth = np.arange(n) % 2
    clips = pd.DataFrame({"path": [f"{i}.wav" for i in range(n)], "label": [("a", "b")[k] for k in truth]})
    clips = clips.assign(fold=[str(i * folds // n) for i in range(n)], group=[f"r{i}" for i in range(n)])
    answers = np.where((truth == 0) == np.array(right), 0.9, 0.1)
    return predictions_table(clips, ("a", "b"), np.stack([answers, 1 - answers], axis=1), several=several)


def drawn_title(monkeypatch, tmp_path, predictions):
    titles = []
    for name in ("draw_confusion", "draw_average_precisions"):
        monkeypatch.setattr(f"soundfold.jobs.score_figure.{name}", lambda *_, title: titles.append(title))
    monkeypatch.setattr("soundfold.jobs.score_figure.save_png", lambda *_: None)
    save_score_figure(tmp_path, score_folds(predictions))
    return titles[0].split("\n")


def test_the_title_tells_how_far_the_folds_lie_apart(monkeypatch, tmp_path):
    right = [True] * 8 + [True] * 6 + [False] * 2
    told = drawn_title(monkeypatch, tmp_path, table(right, 2))
    assert told[0] == "Accuracy 87.5 %"
    assert told[2] == "2 folds: 87.5 ± 17.7 %, lowest 75.0 %, highest 100.0 %"
    assert len(drawn_title(monkeypatch, tmp_path, table(right, 1))) == 2, "one fold has no spread"


def test_the_title_of_several_labels_leaves_out_folds_in_which_no_clip_bears_any(monkeypatch, tmp_path):
    predictions = table([True] * 24, 3, several=True)
    told = drawn_title(monkeypatch, tmp_path, predictions)
    assert told[2] == "3 folds: 100.0 ± 0.0 %, lowest 100.0 %, highest 100.0 %"
    last = predictions["fold"] == "2"
    predictions.loc[last, [name for name in predictions if name.startswith("t:")]] = 0
    predictions.loc[last, "label"] = ""
    told = drawn_title(monkeypatch, tmp_path, predictions)
    assert drawn_title(monkeypatch, tmp_path, predictions[last])[0] == "Mean average precision –"
    assert told[2] == "2 folds: 100.0 ± 0.0 %, lowest 100.0 %, highest 100.0 %"
