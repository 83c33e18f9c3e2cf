"""The clips table: its columns, its checks, what is left out, and what is refused."""

import time
import unicodedata
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from soundfold.data.clips import Clips, LeftOut, check_trainable
from soundfold.data.files import find_files, scan_sounds
from soundfold.data.reading import read_clips
from soundfold.data.rows import text_of
from soundfold.errors import DataError


def sound(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.full(80, 0.1), 8_000)
    return path


def write_table(folder: Path, lines: list[str], name: str = "clips.csv", encoding: str = "utf-8") -> Path:
    """Write a table, and a sound for each path in it that ends in .wav and is not called missing."""
    folder.mkdir(parents=True, exist_ok=True)
    for line in lines[1:]:
        path = line.split(",")[0].strip()
        if path.endswith(".wav") and "missing" not in path:
            sound(folder / path)
    table = folder / name
    table.write_bytes(("\n".join(lines) + "\n").encode(encoding))
    return table


def test_columns_and_types(tmp_path: Path) -> None:
    table = write_table(tmp_path, ["path,label,end,mine", "a.wav,cat,1.5,x", "b.wav,dog,,y"])
    clips = read_clips(table)
    assert list(clips.table.columns) == ["path", "label", "fold", "group", "start", "end", "mine"]
    assert clips.table.index.tolist() == [0, 1]
    assert clips.table["path"].tolist() == [str(tmp_path / "a.wav"), str(tmp_path / "b.wav")]
    assert all(fold is None for fold in clips.table["fold"])
    assert clips.table["start"].dtype == clips.table["end"].dtype == np.float64
    assert clips.table["end"].tolist()[0] == 1.5
    assert np.isnan(clips.table["end"].iloc[1])
    assert clips.table["mine"].tolist() == ["x", "y"]
    assert clips.labels == ("cat", "dog")
    assert clips.class_ids().dtype == np.int64
    assert clips.class_ids().tolist() == [0, 1]
    assert len(clips) == 2
    assert not clips.has_folds
    assert clips.folds == ()


def test_subset_keeps_labels_unless_told(tmp_path: Path) -> None:
    clips = read_clips(write_table(tmp_path, ["path,label", "a.wav,x", "b.wav,y", "c.wav,z"]))
    part = clips.subset(np.array([2, 0]))
    assert part.table["label"].tolist() == ["z", "x"]
    assert part.table.index.tolist() == [0, 1]
    assert part.labels == ("x", "y", "z")
    assert part.class_ids().tolist() == [2, 0]
    assert clips.subset([True, False, True]).table["label"].tolist() == ["x", "z"]
    assert len(clips.subset([])) == 0
    assert clips.subset([0, 2], labels=["z", "x"]).class_ids().tolist() == [1, 0]
    with pytest.raises(DataError, match="labels must hold every selected clip's label, got none for 'y'"):
        clips.subset([1], labels=["x"])


def test_labels_are_the_same_text_however_written(tmp_path: Path) -> None:
    decomposed = unicodedata.normalize("NFD", "Vögel")
    clips = read_clips(write_table(tmp_path, ["path,label", "a.wav,Vögel", f"b.wav, {decomposed} ", "c.wav,hup hup"]))
    assert clips.labels == ("Vögel", "hup hup")


@pytest.mark.parametrize("unseen", ["\u200b", "\ufeff", "\u2060", "\u00ad", "\u200e", "\u200f"])
def test_labels_that_look_alike_are_one(tmp_path: Path, unseen: str) -> None:
    lines = ["path,label", "a.wav,dog", f"b.wav,dog{unseen}", f"c.wav,{unseen} dog", f"d.wav,d{unseen}og", "e.wav,cat"]
    clips = read_clips(write_table(tmp_path, lines))
    assert clips.labels == ("cat", "dog")


def test_numeric_labels_stay_text_and_count_as_people_do(tmp_path: Path) -> None:
    clips = read_clips(write_table(tmp_path, ["path,label", "a.wav,10", "b.wav,3", "c.wav,NA"]))
    assert clips.labels == ("10", "3", "NA")
    assert clips.subset([0, 1]).table["label"].tolist() == ["10", "3"]
    assert read_clips(write_table(tmp_path / "2", ["path,label", "a.wav,10", "b.wav,3"])).labels == ("3", "10")


def test_parquet_whole_numbers_have_no_point(tmp_path: Path) -> None:
    for name in ("a", "b"):
        sound(tmp_path / f"{name}.wav")
    frame = pd.DataFrame({"path": ["a.wav", "b.wav"], "label": [3.0, 4.0], "fold": [1, 2], "start": [0.5, None]})
    frame.to_parquet(tmp_path / "clips.parquet")
    clips = read_clips(tmp_path / "clips.parquet")
    assert clips.labels == ("3", "4")
    assert clips.folds == ("1", "2")
    assert clips.table["start"].iloc[0] == 0.5
    assert np.isnan(clips.table["start"].iloc[1])


def test_rows_that_cannot_be_used_are_left_out_with_reasons(tmp_path: Path) -> None:
    lines = ["path,label,start,end"]
    lines += [f"ok{n}.wav,{'ab'[n % 2]},," for n in range(8)]
    lines += ["missing.wav,a,,", "nolabel.wav,,,", ",a,,", "ok1.wav,b,,", "ok2.wav,b,,", "ok3.wav,a,0.5,1"]
    clips = read_clips(write_table(tmp_path, lines))
    reasons = {(Path(left.path).name, left.reason) for left in clips.left_out}
    assert reasons == {
        ("missing.wav", "the file is missing"),
        ("nolabel.wav", "the label is empty"),
        ("clips.csv line 12", "the path is empty"),
        ("ok1.wav", "the row stands twice and is kept once"),
        ("ok2.wav", "the same sound has more than one label: 'a', 'b'"),
    }
    assert len(clips.left_out) == 6  # both rows of ok2
    assert len(clips) == 8
    assert any("Left out 6 of 14 rows" in note and "1: the file is missing" in note for note in clips.notes)


def test_same_sound_in_two_folds_is_kept_out(tmp_path: Path) -> None:
    lines = ["path,label,fold", "a.wav,x,1", "a.wav,x,2", "b.wav,x,1", "c.wav,y,2"]
    clips = read_clips(write_table(tmp_path, lines))
    assert [left.reason for left in clips.left_out] == ["the same sound has more than one fold: '1', '2'"] * 2


def test_more_than_half_left_out_is_refused(tmp_path: Path) -> None:
    table = write_table(tmp_path, ["path,label", "a.wav,x", "missing1.wav,y", "missing2.wav,x"])
    with pytest.raises(DataError, match=r"clips\.csv: 2 of 3 rows cannot be used, first .*missing1\.wav: the file"):
        read_clips(table)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["path,label,start,end", "a.wav,x,2,1"], r"clips\.csv line 2: end must be after start, got start=2, end=1\."),
        (["path,label,start,end", "a.wav,x,1,1"], r"line 2: end must be after start"),
        (["path,label,end", "a.wav,x,0"], r"line 2: end must be after start, got start=0, end=0"),
        (["path,label,start", "a.wav,x,", "b.wav,x,-0.5"], r"line 3: start must be 0 or more, got -0\.5\."),
        (["path,label,start", "a.wav,x,0:30"], r"line 2: start must be a number of seconds, got '0:30'\."),
        (["path,label,start", "a.wav,x,inf"], r"line 2: start must be a number of seconds, got 'inf'\."),
        (["path,label,fold", "a.wav,x,1", "b.wav,x,"], r"line 3: has no fold, as 1 of 2 rows\. Fill the column 'fold'"),
        (["path,label"], r"clips\.csv: holds no rows\."),
        (["path,fold", "a.wav,1"], r"clips\.csv: has no column 'label'\. Known: fold\. Add it\."),
        (["path,labels", "a.wav,x"], r"has no column 'label'\. Did you mean 'labels'\? Rename it to 'label'\."),
        (["filename,label", "a.wav,x"], r"has no column 'path'\. Did you mean 'filename'\? Rename it to 'path'\."),
        (
            ["file,fold,class", "a.wav,1,x"],
            r"has no columns 'path', 'label'\. Rename 'file' to 'path' and 'class' to 'label'\.",
        ),
        (["file,hour", "a.wav,1"], r"no columns 'path', 'label'\. Rename 'file' to 'path', and add 'label'\."),
        (["hour,night", "1,2"], r"no columns 'path', 'label'\. Known: hour, night\. Add them\."),
        (["path,label,label", "a.wav,x,y"], r"column 'label' stands twice"),
        (["path,label", "a.wav,x", "b.wav,x,surplus"], r"line 3: has 3 cells, the first line has 2\."),
        (["path,label", 'a.wav,"x'], r"line \d: cannot be read as a table"),
        ([], r"clips\.csv: is empty\."),
    ],
)
def test_a_table_that_is_wrong_is_refused(tmp_path: Path, lines: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message) as told:
        read_clips(write_table(tmp_path, lines))
    assert "\n" not in str(told.value)
    assert str(tmp_path) in str(told.value)


def test_an_empty_fold_column_is_no_fold(tmp_path: Path) -> None:
    assert not read_clips(write_table(tmp_path, ["path,label,fold", "a.wav,x,", "b.wav,y,"])).has_folds


def test_where_compares_as_text_in_any_case(tmp_path: Path) -> None:
    table = write_table(tmp_path, ["path,label,night", "a.wav,x,True", "b.wav,y,False", "c.wav,z,TRUE"])
    clips = read_clips(table, where={"night": "true"})
    assert clips.labels == ("x", "z")
    with pytest.raises(DataError, match=r"has no column 'nigth' to choose by\. Did you mean 'night'\?"):
        read_clips(table, where={"nigth": "true"})
    with pytest.raises(DataError, match="no row has night=maybe"):
        read_clips(table, where={"night": "maybe"})


def test_check_trainable_wants_two_classes(tmp_path: Path) -> None:
    clips = read_clips(write_table(tmp_path, ["path,label", "a.wav,x", "b.wav,y"]))
    check_trainable(clips)
    with pytest.raises(DataError, match="the only clip has the label 'x', training needs two"):
        check_trainable(clips.subset([0]))


def test_labels_that_differ_in_case_only_are_noted(tmp_path: Path) -> None:
    clips = read_clips(write_table(tmp_path, ["path,label", "a.wav,Dog", "b.wav,dog"]))
    assert any("'Dog', 'dog' differ only in upper and lower case" in note for note in clips.notes)


def test_left_out_and_clips_are_frozen(tmp_path: Path) -> None:
    clips = read_clips(write_table(tmp_path, ["path,label", "a.wav,x"]))
    with pytest.raises(AttributeError):
        clips.kind = "other"  # type: ignore[misc]
    assert LeftOut("a", "b") == LeftOut("a", "b")
    assert isinstance(clips, Clips)


def test_files_are_found_whatever_form_their_accents_have(tmp_path: Path) -> None:
    folder, name = (unicodedata.normalize("NFD", text) for text in ("Vögel", "Müll.wav"))
    sound(tmp_path / folder / name)
    sound(tmp_path / "犬" / "吠え 1.wav")
    table = tmp_path / "clips.csv"
    table.write_text("path,label\nVögel/Müll.wav,a\n犬/吠え 1.wav,b\n", "utf-8")
    clips = read_clips(table)
    assert len(clips) == 2
    assert all(Path(path).is_file() for path in clips.table["path"])


def test_find_files_names_the_near_one(tmp_path: Path) -> None:
    sound(tmp_path / "Dog.WAV".replace("WAV", "wav"))
    found, missing = find_files([str(tmp_path / "dog.wav"), str(tmp_path / "Dog.wav"), str(tmp_path / "no" / "x.wav")])
    if not (tmp_path / "dog.wav").exists():  # a file system that tells upper from lower case
        assert missing[0] == "the file is missing: only 'Dog.wav' is there"
    assert 1 not in missing
    assert missing[2] == "the file is missing: its folder is not there"
    assert found[1] == str(tmp_path / "Dog.wav")


def test_a_folder_in_place_of_a_file_is_missing(tmp_path: Path) -> None:
    (tmp_path / "a.wav").mkdir()
    assert find_files([str(tmp_path / "a.wav")])[1] == {0: "the file is missing"}


def test_scan_passes_over_what_is_hidden_and_ends_in_loops(tmp_path: Path) -> None:
    sound(tmp_path / "dog" / "a.wav")
    for name in ("dog/._a.wav", ".DS_Store", "dog/.hidden.wav", "__MACOSX/dog/a.wav", ".git/x.wav", "dog/notes.TXT"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_bytes(b"x")
    try:
        (tmp_path / "dog" / "loop").symlink_to(tmp_path)
        (tmp_path / "dog" / "itself").symlink_to(tmp_path / "dog" / "itself")
        (tmp_path / "dog" / "gone.wav").symlink_to(tmp_path / "nothing.wav")
        (tmp_path / "wolf").symlink_to(tmp_path / "dog")
    except OSError:
        pytest.skip("links are not allowed here")
    scan = scan_sounds(tmp_path)
    assert scan.sounds == (("dog", "a.wav"),)
    assert scan.broken == (("dog", "gone.wav"),)
    assert scan.linked_again == (("dog", "loop"), ("wolf",))
    assert scan.passed_over[".txt"] == 1


def test_a_hundred_thousand_rows_read_in_seconds(tmp_path: Path) -> None:
    n, folders = 100_000, 20
    for folder in range(folders):
        (tmp_path / f"c{folder}").mkdir()
        sound(tmp_path / f"c{folder}" / "long.wav")
    rows = (f"c{row % folders}/long.wav,{row % folders},{row / 10:.1f},{row / 10 + 1:.1f}\n" for row in range(n))
    table = tmp_path / "clips.csv"
    table.write_text("path,label,start,end\n" + "".join(rows), "utf-8")
    began = time.perf_counter()
    clips = read_clips(table)
    assert len(clips) == n
    assert clips.groups_known
    assert time.perf_counter() - began < 20  # 2 s on an idle core; quadratic work would take hours


def test_cells_as_text() -> None:
    assert [text_of(cell) for cell in (None, 3, 3.0, 3.5, True, b"x", pd.NA, float("nan"))] == [
        "", "3", "3", "3.5", "True", "x", "", "",
    ]  # fmt: skip
