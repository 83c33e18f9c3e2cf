"""Scores are scikit-learn's, their intervals draw recordings, and rows may stand in any order."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, precision_recall_fscore_support, recall_score

from soundfold.errors import DataError
from soundfold.evaluation import draw_recordings, predictions_table, score, score_folds
from soundfold.evaluation.intervals import where_all_are_alike

LABELS = tuple("abcde")


def a_table(seed: int, n: int = 60, truths: tuple[str, ...] = LABELS, recordings: int = 20) -> pd.DataFrame:
    """Predictions that are right more often than not; some labels may not occur."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(truths, n)
    probabilities = rng.dirichlet(np.ones(len(LABELS)), n)
    for row, label in enumerate(truth):
        if label in LABELS and rng.random() < 0.5:
            probabilities[row] = (probabilities[row] + 3 * np.eye(len(LABELS))[LABELS.index(label)]) / 4
    clips = pd.DataFrame(
        {
            "path": [f"/{k}.wav" for k in range(n)],
            "label": truth,
            "fold": rng.choice(["1", "2", "10"], n),
            "group": [f"r{k}" for k in rng.integers(0, recordings, n)],
            "salience": rng.choice([1, 2], n),
        }
    )
    return predictions_table(clips, LABELS, probabilities)


TABLES = st.builds(
    a_table,
    st.integers(0, 10_000),
    n=st.integers(1, 60),
    truths=st.sampled_from([LABELS, LABELS[:2], (*LABELS, "zoo", "yak"), ("zoo",)]),
    recordings=st.sampled_from([1, 2, 20]),
)


@settings(deadline=None, max_examples=60)
@given(TABLES)
def test_agrees_with_scikit_learn(table: pd.DataFrame) -> None:
    scores = score(table, resamples=10)
    truth, predicted = table["label"].tolist(), table["predicted"].tolist()
    occur = sorted(set(truth))
    assert scores.accuracy == pytest.approx(accuracy_score(truth, predicted))
    assert scores.macro_f1 == pytest.approx(f1_score(truth, predicted, labels=occur, average="macro", zero_division=0))
    every = [*scores.labels, *scores.unknown_labels]
    assert scores.unknown_labels == tuple(label for label in occur if label not in LABELS)
    expected = precision_recall_fscore_support(truth, predicted, labels=every, zero_division=0)
    found = [(c.precision, c.recall, c.f1, c.n) for c in scores.per_class]
    assert np.allclose(found, np.transpose(expected))
    assert [c.label for c in scores.per_class] == every
    assert [c.recordings for c in scores.per_class] == [
        table.loc[table["label"] == label, "group"].nunique() for label in every
    ]
    matrix = confusion_matrix(truth, predicted, labels=every)
    assert np.array_equal(scores.confusion, matrix[:, : len(LABELS)])
    assert (scores.n, scores.n_recordings) == (len(table), table["group"].nunique())


@settings(deadline=None, max_examples=20)
@given(TABLES, st.integers(0, 1000))
def test_order_of_rows_has_no_influence(table: pd.DataFrame, seed: int) -> None:
    shuffled = table.sample(frac=1, random_state=seed)
    assert score(shuffled) == score(table)
    assert score_folds(shuffled) == score_folds(table)


def test_intervals_equal_a_plain_loop_with_scikit_learn() -> None:
    table = a_table(3, n=40, truths=(*LABELS, "zoo"), recordings=8)
    every = [*LABELS, "zoo"]
    recordings = [part for _, part in table.groupby("group")]

    def counted(part: pd.DataFrame) -> tuple[int, ...]:
        right = part.loc[part["label"] == part["predicted"], "label"]
        return tuple(
            int((column == label).sum()) for column in (right, part["label"], part["predicted"]) for label in every
        )

    # Recordings are drawn in the order of their counts.
    recordings.sort(key=counted)
    assert len({counted(part) for part in recordings}) == 8
    accuracies, f1s, recalls = [], [], []
    for weights in np.concatenate(list(draw_recordings(np.ones(8, dtype=np.int64), 200, np.random.default_rng(1)))):
        drawn = pd.concat([part for part, times in zip(recordings, weights, strict=True) for _ in range(times)])
        truth, predicted = drawn["label"].tolist(), drawn["predicted"].tolist()
        accuracies.append(accuracy_score(truth, predicted))
        f1s.append(f1_score(truth, predicted, labels=sorted(set(truth)), average="macro", zero_division=0))
        found = recall_score(truth, predicted, labels=every, average=None, zero_division=0)
        recalls.append(np.where(np.isin(every, truth), found, np.nan))
    scores = score(table, generator=np.random.default_rng(1), resamples=200)
    assert scores.accuracy_ci95 == pytest.approx(tuple(np.quantile(accuracies, [0.025, 0.975])))
    assert scores.macro_f1_ci95 == pytest.approx(tuple(np.quantile(f1s, [0.025, 0.975])))
    expected = np.nanquantile(recalls, [0.025, 0.975], axis=0).T
    assert [each.recall_ci95 for each in scores.per_class] == [pytest.approx(tuple(each)) for each in expected]


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000))
def test_a_recall_lies_in_its_interval(seed: int) -> None:
    for each in score(a_table(seed, n=200, recordings=50)).per_class:
        assert each.recall_ci95 is not None
        low, high = each.recall_ci95
        assert 0 <= low <= each.recall <= high <= 1


def test_the_interval_of_a_recall_widens_with_fewer_recordings_and_not_with_fewer_clips() -> None:
    table = a_table(11, n=200, recordings=50)

    def widths(of: pd.DataFrame) -> np.ndarray:
        return np.array([high - low for low, high in (each.recall_ci95 or (0, 0) for each in score(of).per_class)])

    once = widths(table)
    assert widths(pd.concat([table] * 4)) == pytest.approx(once)
    more = pd.concat([table.assign(group=table["group"] + f" {k}") for k in range(4)])
    assert widths(more) == pytest.approx(once / 2, rel=0.2)


def test_a_class_of_one_recording_has_no_interval_of_its_recall() -> None:
    table = a_table(12)
    table.loc[table["label"] == "c", "group"] = "the only one"
    found = {each.label: each for each in score(table).per_class}
    assert found["c"].recordings == 1
    assert [label for label, each in found.items() if each.recall_ci95 is None] == ["c"]
    assert all(each.recall_ci95 is None for each in score(table.assign(group="the only one")).per_class)


def test_copies_of_clips_within_their_recordings_do_not_narrow_the_interval() -> None:
    table = a_table(5)
    once, thrice = score(table), score(pd.concat([table] * 3))
    assert thrice.accuracy_ci95 == pytest.approx(once.accuracy_ci95)
    assert thrice.macro_f1_ci95 == pytest.approx(once.macro_f1_ci95)
    # Taken for recordings of their own, the same clips would feign a surer score.
    feigned = pd.concat([table.assign(group=table["group"] + str(k)) for k in range(3)])
    low, high = score(feigned).accuracy_ci95 or (0, 0)
    assert once.accuracy_ci95
    assert high - low < 0.7 * (once.accuracy_ci95[1] - once.accuracy_ci95[0])


def test_one_recording_has_no_interval() -> None:
    scores = score(a_table(1, recordings=1))
    assert scores.accuracy_ci95 is None
    assert scores.macro_f1_ci95 is None
    assert scores.n_recordings == 1
    assert "All clips come from one recording, so there is no interval." in scores.notes


def test_unknown_labels_count_as_wrong_and_are_told() -> None:
    table = a_table(2).assign(label="zoo")
    scores = score(table)
    assert (scores.accuracy, scores.macro_f1) == (0, 0)
    assert scores.confusion[-1] == tuple((table["predicted"] == label).sum() for label in LABELS)
    assert "60 of 60 clips bear labels that the model does not know (zoo): counted as wrong." in scores.notes


def test_notes_say_what_the_interval_does_not() -> None:
    table = a_table(2, recordings=8)
    assert score(a_table(2, n=400, recordings=100)).notes == ()
    assert score(table).notes == ("The interval rests on 8 recordings only; with so few it is too narrow.",)
    assert "each file counts as its own" in score(table, groups_known=False).notes[0]
    perfect = score(table.assign(label=table["predicted"]))
    assert perfect.accuracy_ci95 == (pytest.approx(0.025 ** (1 / 8)), 1)
    assert perfect.notes[-1].startswith("Every answer is right, so no draw of recordings shows anything else")


def test_where_no_recording_is_an_exception_the_interval_goes_to_the_bound_that_their_number_leaves() -> None:
    """As Clopper and Pearson have it; a class is bounded by its own recordings, and strange labels have no bound."""
    for n in (2, 11, 56):
        assert where_all_are_alike((1, 1), 1.0, n) == pytest.approx((beta.ppf(0.025, n, 1), 1))
        assert where_all_are_alike((0, 0), 0.0, n) == pytest.approx((0, beta.ppf(0.975, 1, n)))
    table = a_table(3, n=400, recordings=100)
    first = (table["label"] == LABELS[0]) & (table["predicted"] != LABELS[0])
    found = score(table.assign(label=table["label"].where(~first, table["predicted"])))
    assert found.per_class[0].recall == 1
    assert found.per_class[0].recall_ci95 == pytest.approx((0.025 ** (1 / found.per_class[0].recordings), 1))
    assert 0 < found.accuracy_ci95[0] < found.accuracy_ci95[1] < 1
    strange = score(table.assign(label=table["label"].where(table["label"] != LABELS[0], "zoo")))
    assert strange.per_class[-1].recall_ci95 == (0, 0), "whatever is tested, none of it can be found"


@pytest.mark.parametrize("kind", [int, float, str])
def test_foreground_and_background(kind: type) -> None:
    table = a_table(7)
    right = table["label"] == table["predicted"]
    scores = score(table.assign(salience=table["salience"].map(kind)))
    for part, salience in ((scores.foreground, 1), (scores.background, 2)):
        chosen = table["salience"] == salience
        assert part is not None
        assert (part.accuracy, part.n) == (pytest.approx(right[chosen].mean()), chosen.sum())
    assert score(table.drop(columns="salience")).foreground is None
    assert score(table.assign(salience=1)).background is None
    assert score(table.assign(salience="loud")).foreground is None


def test_folds() -> None:
    table = a_table(8)
    scores = score_folds(table, train_s={"1": 2.5, "10": 3.0})
    assert [fold.fold for fold in scores.folds] == [1, 2, 10]
    assert [fold.train_s for fold in scores.folds] == [2.5, None, 3.0]
    for fold in scores.folds:
        alone = score(table[table["fold"] == str(fold.fold)])
        assert (fold.accuracy, fold.macro_f1, fold.n) == (alone.accuracy, alone.macro_f1, alone.n)
    accuracies = [fold.accuracy for fold in scores.folds]
    assert scores.accuracy == scores.accuracy_mean == pytest.approx(np.mean(accuracies))
    assert scores.accuracy_std == pytest.approx(np.std(accuracies, ddof=1))
    pooled = score(table)
    assert scores.accuracy_pooled == pooled.accuracy
    for name in ("accuracy_ci95", "macro_f1", "macro_f1_ci95", "per_class", "confusion", "n", "labels", "foreground"):
        assert getattr(scores, name) == getattr(pooled, name)


def test_named_sets_stand_in_the_order_of_their_use() -> None:
    table = a_table(9).assign(fold="training")
    table.loc[:19, "fold"] = "testing"
    table.loc[20:39, "fold"] = "validation"
    assert [fold.fold for fold in score_folds(table).folds] == ["training", "validation", "testing"]


def test_a_single_fold_has_no_deviation() -> None:
    assert score_folds(a_table(8).assign(fold="1")).accuracy_std is None


def test_folds_must_be_named() -> None:
    with pytest.raises(DataError, match="fold must name the fold of every clip, got none"):
        score_folds(a_table(8).assign(fold=None))


def test_only_predictions_are_scored() -> None:
    with pytest.raises(DataError, match="predictions must have the columns"):
        score(pd.DataFrame({"label": ["a"], "predicted": ["a"]}))


def test_labels_that_differ_in_writing_alone_are_told_with_their_mend() -> None:
    table = predictions_table(
        pd.DataFrame({"path": ["a", "b"], "label": ["Dog_bark", "siren"], "group": ["a", "b"], "fold": ["", ""]}),
        ("dog bark", "siren"), np.array([[0.9, 0.1], [0.2, 0.8]]),
    )  # fmt: skip
    (note,) = [note for note in score(table).notes if "does not know" in note]
    assert note.endswith("counted as wrong. Perhaps they are the same: rename 'Dog_bark' to 'dog bark'.")
