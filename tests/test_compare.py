"""Comparing runs: the statistic against enumeration and scipy, the pairing of clips, and what is refused."""

import io
import json
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from scipy.stats import binomtest, norm

import soundfold
from soundfold.cli import main
from soundfold.cli.columns import print_columns
from soundfold.errors import DataError, PathError, RunError
from soundfold.evaluation import CvResult, SplitSummary, TrainResult, predictions_table, score, score_folds
from soundfold.evaluation.comparison import compare_predictions, correct_for_many, holm, sign_flip_p
from soundfold.evaluation.predictions_file import write_predictions
from soundfold.jobs.calibrating import cross_validation_of

LABELS = ("bark", "horn")


def table(right: np.ndarray, *, recordings: int = 40, folds: int = 2, root: str = "/data") -> pd.DataFrame:
    """Return predictions of which `right` says which are right; every recording lies in one fold."""
    n = len(right)
    recording = np.arange(n) % recordings
    truth = recording % 2
    answer = np.where(right, truth, 1 - truth)
    clips = pd.DataFrame({
        "path": [f"{root}/fold{r % folds + 1}/{i}.wav" for i, r in enumerate(recording)],
        "label": [LABELS[k] for k in truth], "fold": [str(r % folds + 1) for r in recording],
        "group": [f"r{r}" for r in recording],
    })  # fmt: skip
    return predictions_table(clips, LABELS, np.where(answer[:, None] == np.arange(2), 0.9, 0.1))


def drawn(share: float, seed: int, n: int = 400) -> np.ndarray:
    return np.random.default_rng(seed).random(n) < share


def write_run(folder: Path, predictions: pd.DataFrame, data: str = "/data", *, cv: bool = True) -> Path:
    """Write what a finished run leaves, as far as it is compared."""
    folder.mkdir(parents=True)
    account = {
        "recipe": {"name": folder.name}, "seconds": 1.0, "leaks": {"groups_known": True},
        "split": SplitSummary(name="folds", kind="fold", n_test=len(predictions)),
    }  # fmt: skip
    result = (
        CvResult(**dict(score_folds(predictions)), **account)
        if cv
        else TrainResult(**dict(score(predictions)), **account)
    )
    (folder / "metrics.json").write_text(result.model_dump_json())
    (folder / "run.json").write_text(json.dumps({"verb": "cv", "data": data}))
    write_predictions(folder / "predictions.parquet", predictions)
    return folder


@pytest.mark.parametrize("seed", range(8))
def test_sign_flips_are_all_that_there_are(seed: int) -> None:
    generator = np.random.default_rng(seed)
    gains = generator.integers(-5, 6, generator.integers(1, 12))
    sums = [abs(sum(signs * gains)) for signs in product((-1, 1), repeat=len(gains))]
    expected = np.mean([total >= abs(gains.sum()) for total in sums])
    assert sign_flip_p(gains) == pytest.approx(expected, abs=1e-12)


def test_single_clips_are_mcnemars_exact_test() -> None:
    for only_a, only_b in ((3, 9), (10, 10), (0, 7), (40, 61), (400, 520)):
        gains = [-1] * only_a + [1] * only_b + [0] * 50
        assert sign_flip_p(gains) == pytest.approx(binomtest(only_a, only_a + only_b).pvalue, rel=1e-6)


def test_where_nothing_differs_chance_explains_all() -> None:
    assert sign_flip_p([]) == sign_flip_p([0, 0]) == sign_flip_p([2, -1, -1]) == 1.0


def test_many_recordings_are_as_the_normal_curve_has_it() -> None:
    gains = np.random.default_rng(0).integers(-9, 10, 5000)
    gains[: 2 * abs(gains.sum()) // 5] = 0
    score_z = abs(gains.sum()) / np.sqrt((gains**2).sum())
    assert sign_flip_p(gains) == pytest.approx(2 * norm.sf(score_z), abs=2e-3)


def test_chance_alone_is_seldom_called_a_difference() -> None:
    called = 0
    for seed in range(300):
        generator = np.random.default_rng(seed)
        called += sign_flip_p(generator.integers(-3, 4, 30)) < 0.05
    assert called / 300 < 0.08


def test_one_recording_cut_into_many_clips_proves_nothing() -> None:
    for clips in (40, 4000):  # two recordings of 20 tell the two apart, by a clip each or by a hundred
        worse = np.arange(clips) % 20 > 1
        found = compare_predictions(table(worse, recordings=20), table(np.ones(clips, bool), recordings=20))
        assert found.only_b_right == clips // 10
        assert found.p_value == 0.5
        assert any("Only 2 recordings of 20 tell the two apart" in note for note in found.notes)


def test_comparison_is_paired_and_turns_with_its_sides() -> None:
    a, b = table(drawn(0.6, 1)), table(drawn(0.8, 2))
    there, back = compare_predictions(a, b), compare_predictions(b, a)
    right_a, right_b = ((t["label"] == t["predicted"]).to_numpy() for t in (a, b))
    assert there.difference == pytest.approx(right_b.mean() - right_a.mean()) == -back.difference
    assert there.p_value == back.p_value < 0.001
    assert there.difference_ci95 is not None
    assert back.difference_ci95 is not None
    assert there.difference_ci95[0] < there.difference < there.difference_ci95[1]
    assert there.difference_ci95 == (-back.difference_ci95[1], -back.difference_ci95[0])
    assert there.only_b_right == back.only_a_right == (right_b & ~right_a).sum() == len(there.clips_only_b_right)
    assert there.both_right + there.only_a_right + there.only_b_right + there.both_wrong == there.n == 400
    assert sum(row.n * row.difference for row in there.per_class) == pytest.approx(there.n * there.difference)
    assert "B is better than A by" in there.sentence
    assert there.sentence.endswith("more than chance explains")
    assert there.sentence == back.sentence.replace("A", "_").replace("B", "A").replace("_", "B")


def test_a_run_against_itself_is_no_difference() -> None:
    found = compare_predictions(table(drawn(0.7, 3)), table(drawn(0.7, 3)))
    assert (found.difference, found.difference_ci95, found.p_value) == (0.0, (0.0, 0.0), 1.0)
    assert found.sentence == "no difference: A and B are right on the same clips"
    rolled = compare_predictions(table(drawn(0.7, 3)), table(np.roll(drawn(0.7, 3), 1)))
    assert rolled.only_a_right == rolled.only_b_right > 0
    assert rolled.sentence == "no difference: A and B are right on equally many clips"


def test_what_is_hard_for_both_does_not_widen_the_interval() -> None:
    hard = np.arange(400) % 40 < 20  # half of the recordings is beyond both
    a, b = ~hard.copy(), ~hard.copy()
    a[np.flatnonzero(a)[::20]] = False
    found = compare_predictions(table(a), table(b))
    assert found.difference_ci95 is not None
    assert found.difference_ci95[1] - found.difference_ci95[0] < 0.1


def test_the_order_of_rows_has_no_influence() -> None:
    a, b = table(drawn(0.6, 1)), table(drawn(0.65, 2))
    mixed = b.sample(frac=1, random_state=0).reset_index(drop=True)
    assert compare_predictions(a, mixed) == compare_predictions(a, b)


def test_folds_are_compared_where_they_are_the_same() -> None:
    a, b = table(drawn(0.6, 1)), table(drawn(0.8, 2))
    found = compare_predictions(a, b)
    assert found.folds is not None
    assert [fold.fold for fold in found.folds] == [1, 2]
    assert found.fold_mean == pytest.approx(np.mean([fold.difference for fold in found.folds]))
    assert found.fold_std == pytest.approx(np.std([fold.difference for fold in found.folds], ddof=1))
    other = compare_predictions(a, b.assign(fold="1"))
    assert other.folds is None
    assert any("divided into folds differently" in note for note in other.notes)


def test_holm_corrects_from_the_smallest_on() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    one = compare_predictions(table(drawn(0.5, 1)), table(drawn(0.6, 9)))
    twice = correct_for_many([one, one])
    assert [each.p_corrected for each in twice] == pytest.approx([min(1, 2 * one.p_value)] * 2)


def test_clips_are_known_again_elsewhere(tmp_path: Path) -> None:
    a, b = table(drawn(0.6, 1)), table(drawn(0.8, 2), root="/elsewhere/copy")
    found = compare_predictions(a, b, roots=("/data", "/elsewhere/copy"))
    assert found.n == 400
    with pytest.raises(DataError, match="must have clips in common to be compared, got none"):
        compare_predictions(a, b)
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    through = table(drawn(0.6, 1), root=str(tmp_path / "link"))
    assert compare_predictions(through, a, roots=(str((tmp_path / "real").resolve()), "/data")).n == 400


def test_parts_of_one_file_are_clips_of_their_own() -> None:
    a, b = (t.assign(path="/data/long.wav", start=np.arange(400) * 0.1, end=np.arange(400) * 0.1 + 1)
            for t in (table(drawn(0.6, 1)), table(drawn(0.8, 2))))  # fmt: skip
    found = compare_predictions(a, b.iloc[100:].assign(start=b["start"] + 1e-9))
    assert (found.n, found.unmatched_a, found.unmatched_b) == (300, 100, 0)
    assert found.notes[0] == "Compared on the 300 clips that both answered; left out: 100 clips of A."
    assert found.clips_only_b_right[0].start is not None


def test_other_labels_and_other_truths_are_told() -> None:
    a = table(drawn(0.6, 1))
    other = a.rename(columns={"p:horn": "p:siren"}).replace({"horn": "siren"})
    with pytest.raises(DataError, match="must know the same labels to be compared, got 'horn' only in A and 'siren'"):
        compare_predictions(a, other)
    with pytest.raises(DataError, match=r"got 1 that do not: /data/fold1/0.wav is 'bark' in A and 'horn' in B"):
        compare_predictions(a, a.assign(label=["horn", *a["label"][1:]]))


def test_unknown_recordings_are_told() -> None:
    found = compare_predictions(table(drawn(0.6, 1)), table(drawn(0.8, 2)), groups_known=False)
    assert "interval and p-value are too narrow" in found.notes[0]


def test_several_runs_are_held_against_the_first(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / name, table(drawn(share, seed))) for seed, (name, share) in
            enumerate((("base", 0.6), ("much", 0.9), ("little", 0.62)))]  # fmt: skip
    result = soundfold.compare(runs)
    assert [(found.a, found.b) for found in result.comparisons] == [("base", "much"), ("base", "little")]
    assert [found.beyond_chance for found in result.comparisons] == [True, False]
    assert result.comparisons[1].p_corrected >= result.comparisons[1].p_value
    assert "no difference beyond chance between base and little" in result.sentence
    assert "corrected by Holm's method" in result.notes[0]


def test_what_cannot_be_compared_is_told(tmp_path: Path) -> None:
    right = drawn(0.6, 1)
    cv, other = write_run(tmp_path / "cv", table(right)), write_run(tmp_path / "other", table(right))
    train = write_run(tmp_path / "train", table(right), cv=False)
    for runs, error, message in (
        ([cv], RunError, "compare takes two runs or more, got 1"),
        ([cv, tmp_path / "." / "cv"], RunError, "must be named once, got it twice"),
        ([cv, tmp_path / "none"], PathError, "there is no such run"),
        ([cv, cv / "metrics.json"], PathError, "is a file, not a run's folder"),
        ([cv, train], RunError, "all trainings or all cross-validations, got the training .*train and the cross"),
        ([cv, tmp_path], PathError, "is no run's folder. Name a run in it: .*cv, .*other, .*train"),
    ):
        with pytest.raises(error, match=message):
            soundfold.compare(runs)
    (other / "metrics.json").unlink()
    with pytest.raises(RunError, match="is not finished. Continue it, with .*: soundfold cv /data --out .* --resume"):
        soundfold.compare([cv, other])
    (other / "metrics.json").write_text("{")
    with pytest.raises(RunError, match="is damaged"):
        soundfold.compare([cv, other])
    nothing = {"labels": LABELS, "recipe": {}, "split": {"name": "all", "kind": "all", "n_test": 0}, "seconds": 1.0}
    (other / "metrics.json").write_text(json.dumps(nothing))
    with pytest.raises(RunError, match="held nothing out, so it has no answers to compare"):
        soundfold.compare([cv, other])


@pytest.mark.parametrize("asked", ["compare", "report", "calibrate"])
def test_what_another_verb_made_is_told_as_what_it_is(asked: str, tmp_path: Path) -> None:
    good = write_run(tmp_path / "good", table(drawn(0.6, 1)))

    ask = {"compare": lambda run: soundfold.compare([good, run]), "report": soundfold.report}.get(
        asked, cross_validation_of
    )

    def refused(folder: Path, error: type[Exception], match: str) -> None:
        with pytest.raises(error, match=match):
            ask(folder)

    for verb, told in (("tune", "is a search of soundfold tune's"), ("ladder", "is a ladder with a run a rung")):
        folder = tmp_path / verb
        folder.mkdir()
        (folder / "run.json").write_text(json.dumps({"verb": verb, "data": "/data"}))
        go_on = f"with any other options .*: soundfold {verb} /data --out .*{verb} --resume"
        refused(folder, RunError, f"{told} that is not finished. Continue it, {go_on}")
        write_run(folder / "untuned", table(drawn(0.6, 1)))
        (folder / "metrics.json").write_text(json.dumps({"accuracy_mean": 0.5, "gain": {}}))
        refused(folder, PathError, f"{told}. Name a run in it: .*{verb}/untuned$")
        (folder / "untuned" / "metrics.json").unlink()
        refused(folder / "untuned", RunError, f"untuned: is not finished. Continue it, {go_on}")
    fold = tmp_path / "cv" / "fold1"
    fold.mkdir(parents=True)
    (fold / "log.csv").write_text("epoch\n")
    (fold.parent / "run.json").write_text(json.dumps({"verb": "cv"}))
    refused(fold, RunError, "fold1: is not finished. Continue it, .*: soundfold cv DATA --out .*/cv --resume")
    refused(tmp_path, PathError, f"is no run's folder. Name a run in it: {good}")


def test_command_line_answers_in_words_and_in_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [str(write_run(tmp_path / name, table(drawn(share, 1)))) for name, share in (("cheap", 0.5), ("dear", 0.9))]
    assert main(["compare", *runs]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0].split() == ["cheap", "dear", "difference", "clips"]
    assert told[-1].startswith("dear is better than cheap by")
    assert main(["compare", *runs, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["comparisons"][0]["beyond_chance"] is True
    assert main(["compare", runs[0], str(tmp_path / "none")]) == 2
    assert "there is no such run" in capsys.readouterr().err


@pytest.mark.parametrize(("width", "terminal"), [(80, True), (26, True), (26, False)])
def test_a_table_loses_nothing_however_narrow(width: int, terminal: bool) -> None:
    screen = io.StringIO()
    console = Console(file=screen, width=width, force_terminal=terminal, highlight=False, no_color=True)
    rows = [("", "accuracy", "file"), ("mfcc [x]", "47.4 ± 4.4 %", "0.2 MB"), ("鳥", "40.4 ± 3.0 %", "0.3 MB")]
    print_columns(console, rows)
    told = screen.getvalue()
    for row in rows:
        for cell in row:
            assert cell in told
    assert len(told.splitlines()) == (6 if width == 26 and terminal else 3)
