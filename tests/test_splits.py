"""Splits: they are disjoint, cover everything, repeat, and never divide a recording unless they say so."""

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soundfold.data.clips import Clips
from soundfold.data.leaks import UNKNOWN_RECORDINGS
from soundfold.data.reading import read_clips
from soundfold.data.splits import (
    Leaks,
    Split,
    by_fold,
    by_recording,
    default_split,
    everything,
    find_leaks,
    fold_splits,
    random_split,
    straddling,
)
from soundfold.errors import DataError
from soundfold.wording import counted, natural_order


def clips_of(
    labels: Sequence[str], groups: Sequence[str], folds: Sequence[str] | None = None, groups_known: bool = True
) -> Clips:
    n = len(labels)
    table = pd.DataFrame(
        {
            "path": pd.Series([f"/data/{row}.wav" for row in range(n)], dtype=object),
            "label": pd.Series(list(labels), dtype=object),
            "fold": pd.Series([None] * n if folds is None else list(folds), dtype=object),
            "group": pd.Series(list(groups), dtype=object),
            "start": np.full(n, np.nan),
            "end": np.full(n, np.nan),
        }
    )
    return Clips(table, tuple(sorted(set(labels))), "table", Path("/data"), groups_known)


@st.composite
def data_sets(draw: st.DrawFn) -> Clips:
    """From one to twelve recordings of one to six clips, mostly of one class, among two to four classes."""
    n_labels = draw(st.integers(2, 4))
    labels, groups = [], []
    for recording in range(draw(st.integers(1, 12))):
        main = draw(st.integers(0, n_labels - 1))
        for label in draw(st.lists(st.sampled_from([main, main, main, 0]), min_size=1, max_size=6)):
            labels.append(f"label{label}")
            groups.append(f"recording{recording}")
    return clips_of(labels, groups)


def assert_partition(clips: Clips, split: Split) -> None:
    assert split.train.dtype == split.test.dtype == np.int64
    assert sorted([*split.train, *split.test]) == list(range(len(clips)))
    assert list(split.train) == sorted(split.train)
    assert list(split.test) == sorted(split.test)
    assert split.leaks == brute_force_leaks(clips, split)


def brute_force_leaks(clips: Clips, split: Split) -> Leaks:
    groups = clips.table["group"].tolist()
    trained = {groups[row] for row in split.train}
    shared = [groups[row] for row in split.test if groups[row] in trained]
    return Leaks(len(split.test), len(shared), natural_order(shared), groups_known=clips.groups_known)


def same(one: Split, other: Split) -> bool:
    return one.name == other.name and np.array_equal(one.train, other.train) and np.array_equal(one.test, other.test)


# Properties


@given(data_sets(), st.floats(0.01, 0.99), st.integers(0, 2**31))
def test_random_split(clips: Clips, fraction: float, seed: int) -> None:
    if len(clips) < 2:
        with pytest.raises(DataError, match="has 1 clip, a split needs two"):
            random_split(clips, fraction, seed)
        return
    split = random_split(clips, fraction, seed)
    assert_partition(clips, split)
    assert same(split, random_split(clips, fraction, seed))
    n = len(clips)
    assert len(split.test) == min(max(round(fraction * n), 1), n - 1)
    counts = Counter(clips.table["label"])
    tested = Counter(clips.table["label"].iloc[split.test])
    trained = Counter(clips.table["label"].iloc[split.train])
    if len(split.test) <= n - len(counts):
        assert set(trained) == set(counts)  # every class is left to train on while that is possible
        slack = sum(fraction * count > count - 1 for count in counts.values())  # seats that such classes give away
        assert all(abs(tested[label] - fraction * count) <= 1.5 + slack for label, count in counts.items())


@given(data_sets(), st.floats(0.05, 0.95), st.integers(0, 2**31))
def test_by_recording(clips: Clips, fraction: float, seed: int) -> None:
    recordings = clips.table.groupby("label")["group"].nunique()
    sole = {group for label in recordings.index[recordings == 1] for group in holders(clips, str(label))}
    if sole == set(clips.table["group"]):
        with pytest.raises(
            DataError, match=r"a split by recording needs two|every recording is the only one of a class"
        ):
            by_recording(clips, fraction, seed)
        return
    split = by_recording(clips, fraction, seed)
    assert_partition(clips, split)
    assert len(split.test) > 0
    assert split.leaks.share == 0
    assert same(split, by_recording(clips, fraction, seed))
    assert set(clips.table["label"].iloc[split.train]) == set(clips.labels)
    untested = set(clips.labels) - set(clips.table["label"].iloc[split.test])
    assert bool(untested) == any("is not tested" in note for note in split.notes)


@given(data_sets(), st.integers(2, 5), st.integers(0, 2**31))
def test_fold_splits_of_recordings(clips: Clips, k: int, seed: int) -> None:
    recordings = clips.table["group"].nunique()
    if recordings < k:
        with pytest.raises(DataError, match=f"has {counted(recordings, 'recording')}, too few for k={k} folds"):
            fold_splits(clips, None, k, seed)
        return
    try:
        splits = fold_splits(clips, None, k, seed)
    except DataError as refused:
        message = str(refused)
        splits = []
    if not splits:
        assert "leaves one class only to train on" in message
        return
    assert [split.fold for split in splits] == [str(number + 1) for number in range(k)]
    assert sorted(row for split in splits for row in split.test) == list(range(len(clips)))
    for split, again in zip(splits, fold_splits(clips, None, k, seed), strict=True):
        assert_partition(clips, split)
        assert same(split, again)
        assert split.kind == "recordings"
        assert split.leaks.share == 0
        assert len(split.test) > 0
    chosen = fold_splits(clips, ["2", "1"], k, seed)
    assert same(chosen[0], splits[1])
    assert same(chosen[1], splits[0])


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("wxyz"), st.sampled_from(["1", "2", "10"])), min_size=1)
)
def test_official_folds(rows: list[tuple[str, str, str]]) -> None:
    labels, groups, folds = zip(*rows, strict=True)
    clips = clips_of(labels, groups, folds)
    if len(set(folds)) == 1:
        with pytest.raises(DataError, match="has one fold only"):
            by_fold(clips, folds[0])
        return
    splits = fold_splits(clips, None)
    assert tuple(split.fold for split in splits) == natural_order(folds)
    for split in splits:
        assert_partition(clips, split)
        assert [folds[row] for row in split.test] == [split.fold] * len(split.test)
        assert split.fold not in {folds[row] for row in split.train}
    assert same(default_split(clips, 3), splits[-1])
    brute = {
        group: natural_order(fold for g, fold in zip(groups, folds, strict=True) if g == group) for group in groups
    }
    assert straddling(clips) == {group: brute[group] for group in natural_order(groups) if len(brute[group]) > 1}


@given(data_sets(), st.data())
def test_identical_sounds(clips: Clips, data: st.DataObject) -> None:
    if len(clips) < 2:
        return
    hashes = data.draw(st.lists(st.sampled_from(["", "a", "b", "c"]), min_size=len(clips), max_size=len(clips)))
    split = random_split(clips, 0.4, 0)
    trained = {hashes[row] for row in split.train} - {""}
    leaks = find_leaks(clips, split.train, split.test, hashes)
    assert leaks.identical_clips == sum(hashes[row] in trained for row in split.test)
    with pytest.raises(DataError, match="sound_hashes must hold one a clip, [0-9]+, got"):
        find_leaks(clips, split.train, split.test, [*hashes, "d"])


@given(data_sets(), st.sampled_from([(0.0001, "0.01"), (0.2, "20"), (0.125, "12.5")]))
def test_a_random_split_is_named_by_a_share_that_is_true(clips: Clips, share: tuple[float, str]) -> None:
    if len(clips) >= 2:
        assert random_split(clips, share[0], 0).name == f"random {share[1]} %"


# Quality


@settings(max_examples=20)
@given(st.integers(0, 2**31))
def test_many_recordings_are_shared_out_class_by_class(seed: int) -> None:
    generator = np.random.default_rng(seed)
    sizes = generator.integers(1, 12, 200)
    labels = np.repeat(generator.integers(0, 5, 200), sizes)
    clips = clips_of([f"label{label}" for label in labels], [f"r{r}" for r in np.repeat(np.arange(200), sizes)])
    totals = np.bincount(labels)
    held = by_recording(clips, 0.2, seed)
    assert np.abs(np.bincount(labels[held.test], minlength=5) / totals - 0.2).max() < 0.04
    for split in fold_splits(clips, None, 5, seed):
        assert np.abs(np.bincount(labels[split.test], minlength=5) / totals - 0.2).max() < 0.06
    other = by_recording(clips, 0.2, seed + 1)
    assert not np.array_equal(other.test, held.test)


def test_a_class_with_two_recordings_is_in_the_training_of_every_fold() -> None:
    labels = ["a"] * 40 + ["b"] * 2
    clips = clips_of(labels, [f"r{row}" for row in range(42)])
    for seed in range(10):
        for split in fold_splits(clips, None, 5, seed):
            assert set(clips.table["label"].iloc[split.train]) == {"a", "b"}


def test_a_class_with_one_recording() -> None:
    clips = clips_of(["a", "a", "b", "b", "c"], ["1", "2", "3", "4", "5"])
    held = by_recording(clips, 0.4, 0)
    assert "c" not in set(clips.table["label"].iloc[held.test])
    assert held.notes == ("recordings 40 %: 'c' is not tested.",)
    notes = [note for split in fold_splits(clips, None, 2) for note in split.notes]
    assert any("no clip of 'c' is left to train on" in note for note in notes)


def test_two_recordings_of_two_classes_cannot_be_split() -> None:
    clips = clips_of(["a", "b"], ["1", "2"])
    with pytest.raises(DataError, match="every recording is the only one of a class in training"):
        by_recording(clips, 0.5, 0)
    with pytest.raises(DataError, match="leaves one class only to train on"):
        fold_splits(clips, None, 2)


# Official folds, names and errors


def urbansound8k() -> Clips:
    folds = [str(fold) for fold in range(1, 11) for _ in range(4)]
    groups = [f"{fold}-{row // 2}" for row, fold in enumerate(folds)]
    groups[0] = groups[-1] = "77751"
    return clips_of(["a", "b"] * 20, groups, folds)


def test_chosen_folds_are_each_trained_on_all_others() -> None:
    clips = urbansound8k()
    first, third = fold_splits(clips, ["1", "3"])
    assert (first.fold, third.fold) == ("1", "3")
    assert len(first.train) == len(third.train) == 36
    assert first.leaks.shared_recordings == ("77751",)
    assert first.leaks.shared_clips == 1
    assert first.name == "fold 1"
    assert first.kind == "fold"
    assert third.leaks.sentence == ""
    assert default_split(clips, 0).fold == "10"
    assert len(fold_splits(clips, "10")) == 1
    assert len(fold_splits(clips, ["2", "2"])) == 1


def test_unknown_folds_name_the_known_ones() -> None:
    clips = urbansound8k()
    with pytest.raises(DataError, match=r"fold must be one of 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, got '11'\."):
        by_fold(clips, "11")
    with pytest.raises(DataError, match="got 'fold3'"):
        fold_splits(clips, ["1", "fold3"])
    with pytest.raises(DataError, match="folds must name one fold or more, got none"):
        fold_splits(clips, [])
    plain = clips_of(["a", "b"] * 5, [str(row) for row in range(10)])
    with pytest.raises(DataError, match=r"fold must be one of 1, 2, 3, got '4'\."):
        fold_splits(plain, ["4"], k=3)
    with pytest.raises(DataError, match="has no folds of its own, so there is no fold '1'"):
        by_fold(plain, "1")
    with pytest.raises(DataError, match="k must be 2 or more, got 1"):
        fold_splits(plain, None, k=1)
    named = clips_of(["a", "b"], ["1", "2"], ["training", "testing"])
    with pytest.raises(DataError, match=r"got 'tsting'\. Did you mean 'testing'\?"):
        by_fold(named, "tsting")


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 1.5, float("nan")])
def test_fractions_out_of_range(fraction: float) -> None:
    for split in (random_split, by_recording):
        with pytest.raises(DataError, match=f"fraction must be above 0 and below 1, got {fraction}"):
            split(urbansound8k(), fraction, 0)


def test_one_recording_cannot_be_split() -> None:
    with pytest.raises(DataError, match=r"has 1 recording, a split by recording needs two or more\. Name"):
        by_recording(clips_of(["a", "b"], ["r", "r"]), 0.2, 0)


def test_everything() -> None:
    split = everything(urbansound8k())
    assert len(split.train) == 40
    assert len(split.test) == 0
    assert split.test.dtype == np.int64
    assert split.kind == "all"
    assert split.fold is None
    assert split.leaks.sentence == ""
    assert split.leaks.share == 0


# Leaks in words


def test_the_sentence() -> None:
    told = "share a recording with training; expect less on new recordings."
    many = tuple(str(number) for number in range(30))
    assert Leaks(1000, 964, many).sentence == f"96 % of test clips {told}"
    assert Leaks(1000, 999, many).sentence == f"99 % of test clips {told}"
    assert Leaks(1000, 2, ("7", "9")).sentence == f"0.2 % of test clips {told} Recordings on both sides: 7, 9."
    assert Leaks(10, 0, ()).sentence == ""
    assert Leaks(10, 0, (), 1).sentence.startswith("1 test clip is the same sound as a training clip")
    unknown = Leaks(10, 0, (), groups_known=False).sentence
    assert unknown == UNKNOWN_RECORDINGS
    assert "`group` column" in unknown
    assert "sub-folder" in unknown


def test_as_dict() -> None:
    leaks = Leaks(100, 50, tuple(str(number) for number in range(30)), 3)
    told = leaks.as_dict()
    assert told == {
        "clips": 50,
        "share": 0.5,
        "recordings": [str(number) for number in range(20)],
        "identical_clips": 3,
        "groups_known": True,
        "sentence": leaks.sentence,
    }


@pytest.mark.real
def test_the_leak_of_a_random_split_of_real_clips() -> None:
    real = os.environ.get("SOUNDFOLD_DATA")
    if not real:
        pytest.skip("SOUNDFOLD_DATA is not set")
    clips = read_clips(real)
    split = random_split(clips, 0.2, 0)
    assert split.leaks.share > 0.9
    assert split.leaks == brute_force_leaks(clips, split)
    assert all(split.leaks.share == 0 for split in fold_splits(clips, None))
    assert abs(len(by_recording(clips, 0.2, 0).test) / len(clips) - 0.2) < 0.02


def holders(clips: Clips, label: str) -> set[str]:
    return set(clips.table["group"][clips.table["label"] == label])
