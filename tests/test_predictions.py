"""The table of predictions: what it holds, what it refuses, and that Parquet gives it back unchanged."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soundfold.errors import DataError, PathError
from soundfold.evaluation import (
    check_predictions,
    labels_in,
    predictions_table,
    probabilities_in,
    read_predictions,
    write_predictions,
)

LABELS = ("dog bark", "évier", "狗", "p:odd")
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)


def clips_of(n: int, **columns: object) -> pd.DataFrame:
    rows = {
        "path": [f"/data/ü {k}.wav" for k in range(n)],
        "label": [LABELS[k % 4] for k in range(n)],
        "fold": [str(k % 3 + 1) for k in range(n)],
        "group": [f"r{k // 2}" for k in range(n)],
    }
    return pd.DataFrame(rows | columns)


def shares(n: int, classes: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.ones(classes), n).astype(np.float32)


def a_table(n: int = 6) -> pd.DataFrame:
    return predictions_table(clips_of(n, salience=[k % 2 + 1 for k in range(n)]), LABELS, shares(n, 4))


def test_columns_stand_in_order_and_hold_what_came() -> None:
    probabilities = shares(6, 4)
    clips = clips_of(6, start=np.nan, salience=[1, 2] * 3)
    table = predictions_table(clips.set_index(pd.Index(range(10, 16))), LABELS, probabilities)
    assert list(table.columns) == (
        ["path", "label", "predicted", "probability", "fold", "group", "start", "salience"] + [f"p:{x}" for x in LABELS]
    )
    assert list(table.index) == list(range(6))
    assert labels_in(table) == LABELS
    assert np.array_equal(probabilities_in(table), probabilities)
    assert table["predicted"].tolist() == [LABELS[k] for k in probabilities.argmax(axis=1)]
    assert np.array_equal(table["probability"], probabilities.max(axis=1))
    for name in ("path", "label", "fold", "group", "salience"):
        assert table[name].tolist() == clips[name].tolist()


def test_first_label_wins_a_tie() -> None:
    table = predictions_table(clips_of(1), LABELS, [[0.1, 0.4, 0.4, 0.1]])
    assert table["predicted"].tolist() == ["évier"]


def test_unknown_true_label_is_kept_and_has_no_column() -> None:
    table = predictions_table(clips_of(2, label=["tram", "狗"]), LABELS, shares(2, 4))
    assert table["label"].tolist() == ["tram", "狗"]
    assert "p:tram" not in table.columns


def test_columns_that_would_pass_for_an_answer_stay_behind() -> None:
    earlier = a_table().rename(columns={"p:狗": "p:cat"})
    table = predictions_table(earlier, LABELS[:2], shares(6, 2))
    assert labels_in(table) == LABELS[:2]
    assert "salience" in table.columns


@pytest.mark.parametrize("folds", [["1", "2", "10"], [None, None, None]])
def test_round_trip(tmp_path: Path, folds: list[str | None]) -> None:
    own = {"salience": [1, 2, 1], "start": [0.5, np.nan, 2], "place": ["a", None, "ß"], "ok": [True, False, True]}
    table = predictions_table(clips_of(3, fold=folds, **own), LABELS, shares(3, 4))
    # A folder called name=value must not turn into a column.
    path = tmp_path / "fold=9" / "predictions.parquet"
    path.parent.mkdir()
    write_predictions(path, table)
    back = read_predictions(path)
    pd.testing.assert_frame_equal(back, table, check_dtype=False)
    assert back["fold"].tolist() == folds
    assert probabilities_in(back).dtype == np.float32
    assert [p.name for p in path.parent.iterdir()] == ["predictions.parquet"]


@settings(deadline=None, max_examples=25)
@given(st.lists(TEXT, min_size=1, max_size=5, unique=True), st.integers(1, 6), st.integers(0, 99))
def test_round_trip_of_any_labels(
    tmp_path_factory: pytest.TempPathFactory, labels: list[str], n: int, seed: int
) -> None:
    path = tmp_path_factory.mktemp("t") / "p.parquet"
    clips = clips_of(n, label=[labels[k % len(labels)] for k in range(n)])
    table = predictions_table(clips, labels, shares(n, len(labels), seed))
    write_predictions(path, table)
    back = read_predictions(path)
    assert labels_in(back) == tuple(labels)
    pd.testing.assert_frame_equal(back, table)


def test_odd_values_become_storable(tmp_path: Path) -> None:
    paths = pd.Series(["/a/\udce9.wav", "/b.wav", "/c.wav"], dtype=object)  # a file name that is no UTF-8
    clips = clips_of(3, path=paths, mixed=[1, "two", None], file=[Path("x")] * 3)
    table = predictions_table(clips.rename(columns={"mixed": 7}), LABELS, shares(3, 4))
    write_predictions(tmp_path / "p.parquet", table)
    back = read_predictions(tmp_path / "p.parquet")
    assert back["path"].iloc[0] == "/a/\\udce9.wav"
    assert back["7"].tolist()[:2] == ["1", "two"]
    assert back["7"].isna().tolist() == [False, False, True]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    write_predictions(path, a_table())
    before = path.read_bytes()
    unstorable = a_table().assign(own=[object()] * 6)
    with pytest.raises(Exception, match="Could not convert"):
        write_predictions(path, unstorable)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["p.parquet"]


def test_paths_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(PathError, match=r"gone/p.parquet: cannot be written: No such file"):
        write_predictions(tmp_path / "gone" / "p.parquet", a_table())
    with pytest.raises(PathError, match=r"p.parquet: cannot be read: No such file"):
        read_predictions(tmp_path / "p.parquet")
    with pytest.raises(PathError, match="cannot be written"):
        write_predictions(tmp_path, a_table())


def test_files_that_are_no_predictions(tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    path.write_text("path,label\n")
    with pytest.raises(DataError, match=r"p.parquet: is not a whole Parquet file") as caught:
        read_predictions(path)
    assert "\n" not in str(caught.value)
    write_predictions(path, a_table())
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match="is not a whole Parquet file"):
        read_predictions(path)
    clips_of(2).to_parquet(path)
    with pytest.raises(DataError, match=r"p.parquet: predictions must have the columns path, .* Add predicted, prob"):
        read_predictions(path)


@pytest.mark.parametrize(
    ("probabilities", "message"),
    [
        (shares(3, 4), r"of shape \(2, 4\), a row a clip and a column a label, got float32 of shape \(3, 4\)"),
        (shares(2, 3), r"of shape \(2, 4\).* got float32 of shape \(2, 3\)"),
        ([["a"] * 4] * 2, "must be numbers of shape"),
        ([[1, 0, 0, 0], [0.5, 0.5, 0.5, 0.5]], r"must sum to 1 in every row \(within 0.001\), got 2 in row 1"),
        ([[1, 0, 0, 0], [0.499, 0.499, 0, 0]], r"got 0.998 in row 1. Apply softmax"),
        ([[1, 0, 0, 0], [np.nan, 1, 0, 0]], "must be finite and in 0..1, got nan in row 1, column 0"),
        ([[1, 0, 0, 0], [np.inf, 0, 0, 0]], "got inf in row 1, column 0"),
        ([[1, 0, 0, 0], [1.5, -0.5, 0, 0]], r"got 1.5 in row 1, column 0. Apply softmax"),
    ],
)
def test_wrong_probabilities(probabilities: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        predictions_table(clips_of(2), LABELS, probabilities)


def test_sums_within_a_thousandth_pass() -> None:
    predictions_table(clips_of(1), LABELS, [[0.9995, 0, 0, 0]])
    assert probabilities_in(predictions_table(clips_of(1), LABELS, [[1.0000001, 0, 0, 0]])).max() == 1


@pytest.mark.parametrize(
    ("clips", "labels", "message"),
    [
        (
            clips_of(2).drop(columns=["group"]),
            LABELS,
            r"clips must have the columns .*got path, label, fold. Add group",
        ),
        (
            clips_of(2),
            ("a", "b", "a", "c"),
            "labels must be at least one text, all different and none empty, got a, b, a",
        ),
        (clips_of(2), ("a", "b", "", "c"), "none empty"),
        (clips_of(0), LABELS, "must hold at least one clip, got 0 rows"),
        (clips_of(2, label=["a", None]), LABELS, "label must be text in every row, got (None|nan) in row 1"),
        (clips_of(2, group=[1, 2]), LABELS, "group must be text in every row, got 1 in row 0"),
        (
            clips_of(2, fold=["1", None]),
            LABELS,
            "fold must be text in every row, or missing in every row, got .* in row 1",
        ),
        (clips_of(2, fold=[1, 2]), LABELS, "fold must be text in every row, or missing in every row, got 1"),
    ],
)
def test_wrong_clips_and_labels(clips: pd.DataFrame, labels: tuple[str, ...], message: str) -> None:
    with pytest.raises(DataError, match=message):
        predictions_table(clips, labels, shares(len(clips), 4))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"predicted": "cow"}, "predicted must be a label that has a column 'p:<label>', got 'cow' in row 0"),
        ({"probability": 0.2}, "probability must be that of the predicted label and the highest of its row, got 0.2"),
        ({"probability": "x"}, "probability must be numbers"),
        ({"p:狗": 0.0}, "must sum to 1|must be that of the predicted"),
        ({"p:狗": "x"}, "probabilities must be numbers"),
    ],
)
def test_tables_that_contradict_themselves(change: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        check_predictions(a_table().assign(**change))
