"""Comparing runs whose clips bear several labels: what ranks better, by how much, and whether chance explains it."""

import itertools
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score

from soundfold.cli import main
from soundfold.errors import DataError
from soundfold.evaluation import CvResult, SplitSummary, score_folds
from soundfold.evaluation.comparison import compare_predictions, correct_for_many
from soundfold.evaluation.predictions import predictions_table
from soundfold.evaluation.predictions_file import write_predictions
from soundfold.evaluation.report import ReportRun, render_page
from soundfold.jobs.compare import FinishedRun, compare, compare_runs

LABELS = ("bark", "horn", "siren")


def truths(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((n, len(LABELS))) < (0.5, 0.3, 0.2)


def table(
    truth: np.ndarray, skill: float, seed: int, *, recordings: int = 40, labels: tuple[str, ...] = LABELS
) -> pd.DataFrame:
    """Return predictions that know as much of the truth as `skill` says, from 0 for nothing."""
    n = len(truth)
    logits = skill * (truth - 0.5) + np.random.default_rng(seed).normal(0, 1, truth.shape)
    order = [LABELS.index(label) for label in labels]
    recording = np.arange(n) % recordings
    clips = pd.DataFrame({
        "path": [f"{i}.wav" for i in range(n)], "fold": [str(r % 2 + 1) for r in recording],
        "label": [";".join(np.array(LABELS)[row]) for row in truth], "group": [f"r{r}" for r in recording],
    })  # fmt: skip
    return predictions_table(clips, labels, (1 / (1 + np.exp(-logits)))[:, order], several=True)


def mean_precision(truth: np.ndarray, predictions: pd.DataFrame) -> float:
    ranks = predictions[[f"p:{label}" for label in LABELS]].to_numpy()
    return float(np.mean([average_precision_score(truth[:, k], ranks[:, k]) for k in range(len(LABELS))]))


def test_the_difference_is_that_of_the_mean_average_precisions_over_all_and_in_each_fold() -> None:
    truth = truths(200)
    a, b = table(truth, 0.5, 1), table(truth, 1.5, 2)
    found = compare_predictions(a, b)
    gained = mean_precision(truth, b) - mean_precision(truth, a)
    assert found.mean_average_precision_a == pytest.approx(mean_precision(truth, a))
    assert found.difference == pytest.approx(gained)
    for fold in found.folds or ():
        here = (a["fold"] == str(fold.fold)).to_numpy()
        assert fold.difference == pytest.approx(
            mean_precision(truth[here], b[here]) - mean_precision(truth[here], a[here])
        )
    assert [each.n for each in found.per_class] == truth.sum(axis=0).tolist()
    assert np.mean([each.difference for each in found.per_class]) == pytest.approx(gained)
    low, high = found.difference_ci95 or (0, 0)
    assert 0 < low < gained < high
    assert found.beyond_chance
    assert "B is better than A by " in found.sentence
    assert " points of mAP [" in found.sentence
    assert (found.accuracy_a, found.both_right, found.clips_only_a_right) == (None, None, ())


def test_the_chance_is_that_of_all_exchanges_of_whole_recordings(monkeypatch: pytest.MonkeyPatch) -> None:
    truth = truths(64)
    a, b = table(truth, 1.0, 1, recordings=8), table(truth, 1.6, 2, recordings=8)
    recording = np.arange(64) % 8
    columns = [f"p:{label}" for label in LABELS]

    def difference(changed: tuple[int, ...]) -> float:
        one, other = a.copy(), b.copy()
        here = np.array(changed, dtype=bool)[recording]
        one.loc[here, columns], other.loc[here, columns] = b.loc[here, columns], a.loc[here, columns]
        return mean_precision(truth, other) - mean_precision(truth, one)

    every = np.abs([difference(changed) for changed in itertools.product((0, 1), repeat=8)])
    exact = (every >= abs(difference((0,) * 8)) - 1e-12).mean()
    assert 0.02 < exact < 0.9
    assert compare_predictions(a, b).p_value == pytest.approx(exact)
    monkeypatch.setattr("soundfold.evaluation.comparison_of_several._COUNTED", 0)
    assert compare_predictions(a, b).p_value == pytest.approx(exact, abs=0.04), "drawn at random"


def test_of_few_recordings_no_difference_is_beyond_chance() -> None:
    truth = truths(60)
    found = compare_predictions(table(truth, 0.0, 1, recordings=5), table(truth, 8.0, 2, recordings=5))
    assert found.difference > 0.4
    assert found.p_value == 2 / 2**5
    assert not found.beyond_chance


def test_a_large_table_says_on_how_few_exchanges_it_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("soundfold.evaluation.multi_label._MOST_CELLS", 1_000)
    found = compare_predictions(table(truths(60), 0.0, 1), table(truths(60), 8.0, 2))
    told = "The p-value rests on 200 exchanges drawn at random, so it can be no smaller than 0.005."
    assert told in found.notes
    assert found.p_value == pytest.approx(1 / 201)
    assert compare_predictions(table(truths(60), 0.0, 1), table(truths(60), 8.0, 2), at_once=2) == found


def test_of_many_comparisons_at_once_each_can_be_beyond_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("soundfold.evaluation.multi_label._MOST_CELLS", 1_000)
    pairs = 21  # of a ladder's seven rungs
    a, b = table(truths(60), 0.0, 1), table(truths(60), 8.0, 2)
    assert not correct_for_many([compare_predictions(a, b)] * pairs)[0].beyond_chance
    found = correct_for_many([compare_predictions(a, b, at_once=pairs)] * pairs)
    assert found[0].p_corrected == pytest.approx(pairs / 841)
    assert found[0].beyond_chance


def three_runs() -> list[tuple[pd.DataFrame, CvResult]]:
    tables = [table(truths(60), skill, seed) for seed, skill in enumerate((0.0, 4.0, 8.0))]
    account = {"recipe": {}, "split": SplitSummary(name="folds", kind="fold", n_test=60), "seconds": 1.0}
    return [(each, CvResult(**dict(score_folds(each)), **account)) for each in tables]


def test_whoever_compares_several_runs_draws_exchanges_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("soundfold.evaluation.multi_label._MOST_CELLS", 1)
    monkeypatch.setattr("soundfold.evaluation.comparison_of_several._FEWEST_EACH", 150)
    runs = three_runs()
    finished = [FinishedRun(Path(f"/{k}"), f"{k}", result, each, None) for k, (each, result) in enumerate(runs)]
    told = "The p-value rests on 300 exchanges drawn at random"
    assert all(any(told in note for note in found.notes) for found in compare_runs(finished).comparisons)
    page = render_page(
        [ReportRun(name=f"{k}", path="x", result=result, predictions=each) for k, (each, result) in enumerate(runs)]
    )
    assert told in page


def test_a_fold_in_which_no_clip_bears_a_label_is_not_counted() -> None:
    truth = truths(80)
    truth[np.arange(80) % 2 == 1] = False  # the second fold
    found = compare_predictions(table(truth, 0.5, 1), table(truth, 1.5, 2))
    first, second = found.folds or ()
    assert (second.mean_average_precision_a, second.difference) == (None, None)
    assert found.fold_mean == first.difference
    assert found.fold_std is None


def test_sides_may_be_turned_and_the_labels_stand_in_any_order() -> None:
    truth = truths(120)
    a, b = table(truth, 0.8, 1), table(truth, 1.0, 2)
    there, back = compare_predictions(a, b), compare_predictions(b, a)
    other = compare_predictions(a, table(truth, 1.0, 2, labels=LABELS[::-1]))
    assert back.difference == pytest.approx(-there.difference) == pytest.approx(-other.difference)
    assert there.p_value == back.p_value == other.p_value
    low, high = there.difference_ci95 or (0, 0)
    assert (-high, -low) == pytest.approx(back.difference_ci95)
    assert (low, high) == pytest.approx(other.difference_ci95)


def test_a_run_against_itself_is_no_difference() -> None:
    same = table(truths(60), 1.0, 1)
    found = compare_predictions(same, same)
    assert (found.difference, found.p_value, found.beyond_chance) == (0.0, 1.0, False)
    assert found.difference_ci95 == (0.0, 0.0)
    assert found.sentence == "no difference: A and B rank the clips equally well"


def test_chance_alone_is_seldom_called_a_difference() -> None:
    called = 0
    for seed in range(30):
        truth = truths(60, seed)
        called += compare_predictions(table(truth, 1, 100 + seed), table(truth, 1, 200 + seed)).beyond_chance
    assert called <= 5


def test_labels_that_no_clip_bears_are_left_out() -> None:
    truth = truths(80)
    truth[:, 2] = False
    found = compare_predictions(table(truth, 0.5, 1), table(truth, 1.5, 2))
    assert [each.label for each in found.per_class] == ["bark", "horn"]
    nothing = compare_predictions(table(truth & False, 0.5, 1), table(truth & False, 1.5, 2))
    assert nothing.mean_average_precision_a is None
    assert (nothing.difference, nothing.p_value, nothing.difference_ci95) == (0.0, 1.0, None)
    assert nothing.sentence == "no difference can be told between A and B: no clip bears a label that they know"


def test_one_label_and_several_are_not_held_against_each_other() -> None:
    truth = np.eye(3, dtype=bool)[np.arange(30) % 3]
    several = table(truth, 1.0, 1)
    one = predictions_table(several, LABELS, np.full((30, 3), 1 / 3))
    for pair, first in (((several, one), "A"), ((one, several), "B")):
        with pytest.raises(DataError, match=f"how many labels a clip bears, got several in {first} and one in "):
            compare_predictions(*pair)


def write_run(folder: Path, predictions: pd.DataFrame) -> Path:
    folder.mkdir()
    split = SplitSummary(name="folds", kind="fold", n_test=len(predictions))
    account = {"recipe": {"name": folder.name}, "seconds": 1.0, "leaks": {"groups_known": True}, "split": split}
    result = CvResult(**dict(score_folds(predictions)), **account)
    (folder / "metrics.json").write_text(result.model_dump_json())
    (folder / "run.json").write_text(json.dumps({"verb": "cv", "data": "/data"}))
    write_predictions(folder / "predictions.parquet", predictions)
    return folder


def test_the_command_line_tells_precisions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truth = truths(200)
    runs = [write_run(tmp_path / name, table(truth, skill, seed)) for name, skill, seed in (("a", 0.5, 1), ("b", 2, 2))]
    assert main(["compare", *map(str, runs)]) == 0
    told = capsys.readouterr().out
    found = compare(runs).comparisons[0]
    assert told.splitlines()[0].split() == ["mAP", "a", "b", "difference", "clips"]
    assert f"{100 * (found.mean_average_precision_b or 0):.1f} %" in told
    assert "answers exchanged by recording at random" in told
    assert found.p_drawn
    assert "right:" not in told
    assert found.sentence in told
    assert main(["compare", *map(str, runs), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["runs"][1]["mean_average_precision"] == pytest.approx(
        score_folds(table(truth, 2, 2)).mean_average_precision
    )
    assert answer["runs"][1]["accuracy"] is None
    assert answer["comparisons"][0]["both_right"] is None


def test_few_recordings_are_not_said_to_be_exchanged_at_random(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truth = truths(60)
    runs = [
        write_run(tmp_path / name, table(truth, skill, seed, recordings=8))
        for name, skill, seed in (("a", 0.5, 1), ("b", 2, 2))
    ]
    assert main(["compare", *map(str, runs)]) == 0
    told = capsys.readouterr().out
    assert "answers exchanged by recording in every way" in told
    assert not compare(runs).comparisons[0].p_drawn
