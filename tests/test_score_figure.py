"""The figure of a run's scores: drawn once all is scored, and again where it was lost."""

import pytest

import soundfold
from conftest import SMALL
from soundfold.jobs.score_figure import has_score_figure

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
