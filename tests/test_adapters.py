"""Finding out what a path holds, and each data set's own layout and traps."""

import csv
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from soundfold.data.clips import Clips, check_trainable
from soundfold.data.leaks import straddling
from soundfold.data.reading import read_clips
from soundfold.errors import DataError, PathError


def sound(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.full(80, 0.1), 8_000, format="WAV")
    return path


def write_csv(path: Path, header: str, rows: list[str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *rows]) + "\n", "utf-8")
    return path


def urbansound8k(root: Path) -> Path:
    """Four clips; recording 77751 stands in folds 1 and 10, and classID is not in alphabetical order."""
    rows = [
        "77751-4-0-0.wav,77751,10.5,14.5,1,1,4,drilling",
        "77751-4-0-1.wav,77751,11.5,15.5,2,10,4,drilling",
        "100-0-0-0.wav,100,0.0,4.0,1,2,0,air_conditioner",
        "200-8-0-0.wav,200,3.0,3.1,2,10,8,siren",
    ]
    write_csv(
        root / "metadata" / "UrbanSound8K.csv", "slice_file_name,fsID,start,end,salience,fold,classID,class", rows
    )
    for row in rows:
        cells = row.split(",")
        sound(root / "audio" / f"fold{cells[5]}" / cells[0])
    return root


def esc50(root: Path) -> Path:
    rows = [
        "1-100-A-0.wav,1,0,dog,True,100,A",
        "1-100-B-0.wav,1,0,dog,True,100,B",
        "2-200-A-36.wav,2,36,vacuum_cleaner,False,200,A",
        "2-300-A-1.wav,2,1,rooster,True,300,A",
    ]
    write_csv(root / "meta" / "esc50.csv", "filename,fold,target,category,esc10,src_file,take", rows)
    for row in rows:
        sound(root / "audio" / row.split(",")[0])
    return root


def speech_commands(root: Path) -> Path:
    for name in ("bed/aa_nohash_0.wav", "bed/bb_nohash_0.wav", "cat/aa_nohash_0.wav", "cat/cc_nohash_1.wav"):
        sound(root / name)
    sound(root / "_background_noise_" / "pink_noise.wav")
    (root / "validation_list.txt").write_text("bed/bb_nohash_0.wav\n")
    (root / "testing_list.txt").write_text("cat/cc_nohash_1.wav\n")
    (root / "README.md").write_text("words")
    return root


def has_note(clips: Clips, text: str) -> bool:
    return any(text in note for note in clips.notes)


# UrbanSound8K


def test_a_table_of_other_names_is_told_of_its_recordings_too(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("file,class,recording\na.wav,dog,r1\n")
    with pytest.raises(DataError, match=r"'class' to 'label'; and 'recording' to 'group', if it names"):
        read_clips(tmp_path / "t.csv")


def test_urbansound8k(tmp_path: Path) -> None:
    root = urbansound8k(tmp_path / "US8K")
    clips = read_clips(root)
    table = clips.table
    assert clips.kind == "UrbanSound8K"
    assert clips.root == root
    assert clips.labels == ("air_conditioner", "drilling", "siren")  # classID 0, 4, 8
    assert clips.folds == ("1", "2", "10")
    assert clips.groups_known
    assert table["group"].tolist() == ["77751", "77751", "100", "200"]
    assert table["path"].iloc[1] == str(root / "audio" / "fold10" / "77751-4-0-1.wav")
    assert table[["start", "end"]].isna().all(axis=None)
    assert table["source_start"].tolist() == [10.5, 11.5, 0.0, 3.0]
    assert table["source_end"].tolist() == [14.5, 15.5, 4.0, 3.1]
    assert table["salience"].tolist() == [1, 2, 1, 2]
    assert straddling(clips) == {"77751": ("1", "10")}
    assert read_clips(root, where={"salience": "2"}).labels == ("drilling", "siren")


def test_urbansound8k_labels_follow_class_numbers_not_letters(tmp_path: Path) -> None:
    root = urbansound8k(tmp_path)
    table = root / "metadata" / "UrbanSound8K.csv"
    table.write_text(table.read_text().replace(",0,air", ",9,air"))
    assert read_clips(root).labels == ("drilling", "siren", "air_conditioner")


@pytest.mark.parametrize("inside", ["audio", "metadata", "metadata/UrbanSound8K.csv", ".."])
def test_urbansound8k_is_found_from_beside(tmp_path: Path, inside: str) -> None:
    root = urbansound8k(tmp_path / "US8K" / "US8K")
    clips = read_clips(os.path.normpath(root / inside))
    assert clips.kind == "UrbanSound8K"
    assert clips.root == root
    assert has_note(clips, str(root))


def test_one_fold_of_urbansound8k_is_refused_with_the_mend(tmp_path: Path) -> None:
    root = urbansound8k(tmp_path / "US8K")
    with pytest.raises(DataError, match=r"fold1: is a part of UrbanSound8K\. Point at .*US8K; a fold is chosen"):
        read_clips(root / "audio" / "fold1")


def test_urbansound8k_as_kaggle_packs_it(tmp_path: Path) -> None:
    root = urbansound8k(tmp_path)
    (root / "metadata" / "UrbanSound8K.csv").rename(root / "UrbanSound8K.csv")
    for fold in (root / "audio").iterdir():
        fold.rename(root / fold.name)
    (root / "audio").rmdir()
    assert len(read_clips(root)) == 4


def test_urbansound8k_without_sounds_or_with_another_table(tmp_path: Path) -> None:
    write_csv(tmp_path / "a" / "metadata" / "UrbanSound8K.csv", "slice_file_name", [])
    with pytest.raises(DataError, match=r"has UrbanSound8K\.csv but no audio/fold1"):
        read_clips(tmp_path / "a")
    root = urbansound8k(tmp_path / "b")
    table = root / "metadata" / "UrbanSound8K.csv"
    text = table.read_text()
    table.write_text(text.replace("fsID", "fsid"))
    with pytest.raises(DataError, match=r"has no column 'fsID'\. Did you mean 'fsid'"):
        read_clips(root)
    table.write_text(text.replace(",8,siren", ",eight,siren"))
    with pytest.raises(DataError, match="line 5: classID must be a whole number, got 'eight'"):
        read_clips(root)
    table.write_text(text.replace(",8,siren", ",4,siren"))
    with pytest.raises(DataError, match="class and classID must stand one to one, got more than one partner for 4"):
        read_clips(root)


@pytest.mark.real
def test_the_real_part_of_urbansound8k() -> None:
    real = os.environ.get("SOUNDFOLD_DATA")
    if not real:
        pytest.skip("SOUNDFOLD_DATA is not set")
    clips = read_clips(real)
    with (Path(real) / "metadata" / "UrbanSound8K.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(clips) == len(rows) == 2_148
    assert clips.folds == ("1", "2", "3")
    assert Counter(clips.table["fold"]) == {"1": 873, "2": 888, "3": 387}
    assert clips.table["group"].tolist() == [row["fsID"] for row in rows]
    assert clips.class_ids().tolist() == [int(row["classID"]) for row in rows]
    assert not clips.left_out
    assert straddling(clips) == {}  # 77751 stands in fold 1 and 10, and fold 10 is not in this part


# ESC-50


def test_esc50_and_esc10(tmp_path: Path) -> None:
    clips = read_clips(esc50(tmp_path / "ESC-50-master"))
    assert clips.kind == "ESC-50"
    assert clips.labels == ("dog", "rooster", "vacuum_cleaner")  # target 0, 1, 36
    assert clips.folds == ("1", "2")
    assert clips.table["group"].tolist() == ["100", "100", "200", "300"]
    assert clips.table["start"].isna().all()
    assert read_clips(tmp_path, where={"esc10": "true"}).labels == ("dog", "rooster")
    assert read_clips(tmp_path / "ESC-50-master" / "audio").kind == "ESC-50"
    assert read_clips(tmp_path / "ESC-50-master" / "meta" / "esc50.csv").kind == "ESC-50"


def test_two_data_sets_side_by_side_are_not_guessed_between(tmp_path: Path) -> None:
    esc50(tmp_path / "esc")
    urbansound8k(tmp_path / "us8k")
    with pytest.raises(
        DataError, match=r"holds 2 data sets\. Point at one of them: .*esc \(ESC-50\), .*us8k \(Urb.*\)\."
    ):
        read_clips(tmp_path)


def test_sounds_beside_a_data_set_are_no_less_a_data_set(tmp_path: Path) -> None:
    urbansound8k(tmp_path / "us8k")
    (tmp_path / "runs" / "1").mkdir(parents=True)
    (tmp_path / "runs" / "1" / "log.csv").write_text("epoch\n1\n")
    sound(tmp_path / ".cache" / "a.wav")
    assert read_clips(tmp_path).kind == "UrbanSound8K"
    sound(tmp_path / "mine" / "dog" / "rex" / "a.wav")
    with pytest.raises(DataError, match=r"holds 2 data sets\. .*/mine \(sounds\), .*/us8k \(UrbanSound8K\)\.$"):
        read_clips(tmp_path)
    for number in range(9):
        sound(tmp_path / f"z{number}" / "a.wav")
    with pytest.raises(DataError, match=r"holds 11 data sets\. .*/z2 \(sounds\) and others\.$"):
        read_clips(tmp_path)


def test_two_data_sets_in_one_folder_are_not_guessed_between(tmp_path: Path) -> None:
    esc50(urbansound8k(tmp_path))
    with pytest.raises(DataError, match=r"holds more than one data set: UrbanSound8K and ESC-50\. Move each"):
        read_clips(tmp_path)


def test_a_table_beside_a_data_set_is_told(tmp_path: Path) -> None:
    urbansound8k(tmp_path / "us8k")
    write_csv(tmp_path / "mine.csv", "path,label", ["us8k/audio/fold1/77751-4-0-0.wav,drill"])
    clips = read_clips(tmp_path)
    assert clips.kind == "UrbanSound8K"
    assert has_note(clips, "There is a table too (mine.csv); point at it to read that.")


# Speech Commands


def test_speech_commands(tmp_path: Path) -> None:
    clips = read_clips(speech_commands(tmp_path))
    assert clips.kind == "Speech Commands v2"
    assert clips.labels == ("bed", "cat")
    assert clips.folds == ("training", "validation", "testing")
    by_name = {
        Path(path).name + label: (fold, group) for path, label, fold, group in clips.table.iloc[:, :4].to_numpy()
    }
    assert by_name == {
        "aa_nohash_0.wavbed": ("training", "aa"),
        "bb_nohash_0.wavbed": ("validation", "bb"),
        "aa_nohash_0.wavcat": ("training", "aa"),
        "cc_nohash_1.wavcat": ("testing", "cc"),
    }
    assert has_note(clips, "In _background_noise_ 1 recording is no spoken word and was kept out.")


def test_speech_commands_names_what_its_lists_name_in_vain(tmp_path: Path) -> None:
    root = speech_commands(tmp_path)
    (root / "testing_list.txt").write_text("cat/cc_nohash_1.wav\ncat/dd_nohash_0.wav\n")
    left = read_clips(root).left_out
    assert [(Path(one.path).name, one.reason) for one in left] == [
        ("dd_nohash_0.wav", "the file is missing: testing_list.txt names it")
    ]


# Folders


def test_folders_name_labels(tmp_path: Path) -> None:
    for name in ("dog/a.wav", "dog/b.WAV", "cat fish/ü 1.flac", "cat fish/._ü 1.flac", "鳥/1.ogg"):
        sound(tmp_path / name)
    clips = read_clips(tmp_path)
    assert clips.kind == "folders"
    assert clips.labels == ("cat fish", "dog", "鳥")
    assert len(clips) == 4
    assert not clips.has_folds
    assert not clips.groups_known
    assert set(clips.table["group"]) == {"dog/a.wav", "dog/b.WAV", "cat fish/ü 1.flac", "鳥/1.ogg"}


def test_sub_folders_are_recordings(tmp_path: Path) -> None:
    for name in ("dog/rec1/a.wav", "dog/rec1/b.wav", "dog/rec2/a.wav", "cat/x/deeper/a.wav"):
        sound(tmp_path / name)
    clips = read_clips(tmp_path)
    assert clips.groups_known
    assert Counter(clips.table["group"]) == {"dog/rec1": 2, "dog/rec2": 1, "cat/x/deeper": 1}
    assert clips.labels == ("cat", "dog")


@pytest.mark.parametrize("names", [("fold1", "fold2", "fold10"), ("fold_1", "Fold 2", "FOLD-10")])
def test_fold_folders(tmp_path: Path, names: tuple[str, ...]) -> None:
    for name in names:
        sound(tmp_path / name / "dog" / "a.wav")
        sound(tmp_path / name / "cat" / "rec7" / "b.wav")
    clips = read_clips(tmp_path)
    assert clips.folds == ("1", "2", "10")
    assert clips.labels == ("cat", "dog")
    assert straddling(clips) == {"cat/rec7": ("1", "2", "10")}
    assert has_note(clips, "were read as folds")


def test_train_and_test_folders_are_folds(tmp_path: Path) -> None:
    for name in ("train/dog/a.wav", "train/cat/b.wav", "test/dog/c.wav", "test/cat/d.wav"):
        sound(tmp_path / name)
    clips = read_clips(tmp_path)
    assert clips.folds == ("train", "test")
    assert clips.labels == ("cat", "dog")


def test_a_label_among_folds_makes_all_of_them_labels(tmp_path: Path) -> None:
    for name in ("fold1/dog/a.wav", "origami/b.wav"):
        sound(tmp_path / name)
    assert read_clips(tmp_path).labels == ("fold1", "origami")


def test_folds_without_labels(tmp_path: Path) -> None:
    for name in ("fold1/a.wav", "fold2/b.wav"):
        sound(tmp_path / name)
    with pytest.raises(DataError, match=r"its folders look like folds \('fold1', 'fold2'\) but hold no label folders"):
        read_clips(tmp_path)


def test_stray_sounds_and_other_files_are_told(tmp_path: Path) -> None:
    for name in ("dog/a.wav", "dog/c.wav", "cat/b.wav", "stray.wav"):
        sound(tmp_path / name)
    (tmp_path / "dog" / "readme.txt").write_text("x")
    (tmp_path / "empty").mkdir()
    clips = read_clips(tmp_path)
    assert [(Path(left.path).name, left.reason) for left in clips.left_out] == [
        ("stray.wav", "no folder names its label")
    ]
    assert has_note(clips, "1 .txt")
    assert has_note(clips, "No sounds stand in 'empty'")


def test_a_doubled_folder_is_followed(tmp_path: Path) -> None:
    for name in ("dog/a.wav", "cat/b.wav"):
        sound(tmp_path / "birds" / "birds" / name)
        sound(tmp_path / "mine" / "audio" / name)
    for folder, inner in (("birds", "birds"), ("mine", "audio")):
        clips = read_clips(tmp_path / folder)
        assert clips.labels == ("cat", "dog")
        assert clips.root == tmp_path / folder / inner
        assert has_note(clips, "read that")


def test_one_class_is_read_and_not_trained(tmp_path: Path) -> None:
    for name in ("animals/dog/a.wav", "animals/cat/b.wav"):
        sound(tmp_path / name)
    clips = read_clips(tmp_path)
    assert clips.labels == ("animals",)
    with pytest.raises(
        DataError, match=r"have the label 'animals'.*point at \S+/animals if its folders \('cat', 'dog'\)"
    ):
        check_trainable(clips)
    (tmp_path / "animals" / "cat" / "b.wav").unlink()
    (tmp_path / "animals" / "cat").rmdir()
    with pytest.raises(DataError, match=r"needs two or more\. Add a folder of another class\.$"):
        check_trainable(read_clips(tmp_path))


@pytest.mark.parametrize("above", ["x", "x/y"])
def test_a_published_data_set_is_found_some_folders_deeper(tmp_path: Path, above: str) -> None:
    inner = tmp_path / above / "UrbanSound8K"
    urbansound8k(inner)
    (tmp_path / "notes.txt").write_text("unpacked on Monday")
    clips = read_clips(tmp_path)
    assert (clips.kind, clips.root) == ("UrbanSound8K", inner)
    assert has_note(clips, f"UrbanSound8K was found in {inner}.")


def test_folders_that_lead_in_a_circle_are_no_data_set(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").symlink_to(tmp_path, target_is_directory=True)
    with pytest.raises(DataError, match="holds no sounds"):
        read_clips(tmp_path)


@pytest.mark.parametrize("folds", [("fold1", "fold2"), ("train", "test")])
def test_folds_one_folder_deeper_are_followed(tmp_path: Path, folds: tuple[str, str]) -> None:
    for fold in folds:
        sound(tmp_path / "mine" / fold / "dog" / "a.wav")
        sound(tmp_path / "mine" / fold / "cat" / "a.wav")
    clips = read_clips(tmp_path)
    assert (clips.labels, len(clips.folds), clips.root) == (("cat", "dog"), 2, tmp_path / "mine")
    assert has_note(clips, f"The only folder with sounds in {tmp_path} is 'mine'; read that.")


def test_a_table_one_folder_deeper_is_followed(tmp_path: Path) -> None:
    for name in ("1.wav", "2.wav"):
        sound(tmp_path / "mine" / name)
    write_csv(tmp_path / "mine" / "clips.csv", "path,label", ["1.wav,dog", "2.wav,cat"])
    clips = read_clips(tmp_path)
    assert (clips.kind, clips.labels) == ("table", ("cat", "dog"))
    assert has_note(clips, "The table clips.csv was found")


def test_folders_with_nothing_to_learn_from(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty: is an empty folder"):
        read_clips(tmp_path / "empty")
    (tmp_path / "texts" / "dog").mkdir(parents=True)
    (tmp_path / "texts" / "dog" / "a.txt").write_text("x")
    with pytest.raises(DataError, match=r"texts: holds no sounds \(1 other file: 1 \.txt\)\. Sounds are files"):
        read_clips(tmp_path / "texts")
    sound(tmp_path / "flat" / "a.wav")
    with pytest.raises(DataError, match="flat: holds 1 sound but no folder to name its label"):
        read_clips(tmp_path / "flat")


def test_names_that_are_no_utf8_are_left_out(tmp_path: Path) -> None:
    for name in ("dog/a.wav", "cat/b.wav", "cat/c.wav"):
        sound(tmp_path / name)
    try:
        (tmp_path / os.fsdecode(b"caf\xe9")).mkdir()
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    clips = read_clips(tmp_path)
    assert [(Path(left.path).name, left.reason) for left in clips.left_out] == [("caf?", "its name is not in UTF-8")]


# Tables


def test_table_groups(tmp_path: Path) -> None:
    for name in ("a.wav", "b.wav"):
        sound(tmp_path / name)
    cuts = write_csv(tmp_path / "cuts.csv", "path,label,start,end", ["a.wav,x,0,1", "a.wav,y,1,2", "b.wav,x,,0.5"])
    clips = read_clips(cuts)
    assert clips.table["group"].tolist() == ["a.wav", "a.wav", "b.wav"]
    assert clips.groups_known
    whole = read_clips(write_csv(tmp_path / "whole.csv", "path,label", ["a.wav,x", "b.wav,y"]))
    assert not whole.groups_known
    named = read_clips(write_csv(tmp_path / "named.csv", "path,label,group", ["a.wav,x,r 1", "b.wav,y,"]))
    assert named.table["group"].tolist() == ["r 1", "b.wav"]
    assert not named.groups_known
    assert has_note(named, "1 of 2 clips has no group; such a clip stands as")
    every = read_clips(write_csv(tmp_path / "every.csv", "path,label,group", ["a.wav,x,r 1", "b.wav,y,r 2"]))
    assert every.groups_known
    mixed = ["a.wav,x,r 1,,", "b.wav,y,,0,1"]  # a cut's recording is its file
    assert read_clips(write_csv(tmp_path / "mixed.csv", "path,label,group,start,end", mixed)).groups_known


def test_table_paths(tmp_path: Path) -> None:
    elsewhere = sound(tmp_path / "elsewhere" / "far.wav")
    sound(tmp_path / "set" / "sub dir" / "near.wav")
    rows = [r"sub dir\near.wav,x", f"{elsewhere},y", "../elsewhere/../set/sub dir/near.wav,x"]
    clips = read_clips(write_csv(tmp_path / "set" / "clips.csv", "path,label", rows))
    assert clips.table["path"].tolist() == [str(tmp_path / "set" / "sub dir" / "near.wav"), str(elsewhere)]
    assert len(clips.left_out) == 1  # the third row is the first again


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_table_encodings(tmp_path: Path, encoding: str, newline: str) -> None:
    sound(tmp_path / "ä.wav")
    (tmp_path / "clips.csv").write_bytes(newline.join(["path,label", "ä.wav,größe", ""]).encode(encoding))
    assert read_clips(tmp_path / "clips.csv").labels == ("größe",)


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_other_encodings_are_refused_with_the_line(tmp_path: Path, encoding: str) -> None:
    sound(tmp_path / "a.wav")
    (tmp_path / "clips.csv").write_bytes("path,label\na.wav,x\na.wav,größe\n".encode(encoding))
    line = 3 if encoding == "latin-1" else 1
    with pytest.raises(DataError, match=rf"clips\.csv line {line}: .*Save the table as 'CSV UTF-8'"):
        read_clips(tmp_path / "clips.csv")


def test_semicolons_tabs_and_decimal_commas(tmp_path: Path) -> None:
    for name in ("a.wav", "b,c.wav"):
        sound(tmp_path / name)
    rows = ["a.wav;x;0,5;1,5", "b,c.wav;y;;"]
    clips = read_clips(write_csv(tmp_path / "excel.csv", "Path;Label;start;end", rows))
    assert clips.table["start"].iloc[0] == 0.5
    assert clips.table["end"].iloc[0] == 1.5
    assert clips.labels == ("x", "y")
    assert has_note(clips, "excel.csv is separated by semicolons")
    tabs = [row.replace(";", "\t").replace("0,5", "0.5").replace("1,5", "1.5") for row in rows]
    assert len(read_clips(write_csv(tmp_path / "t.tsv", "path\tlabel\tstart\tend", tabs))) == 2
    quoted = write_csv(tmp_path / "q.csv", "path,label", ["a.wav,x", '"b,c.wav","y, or ""z"""'])
    assert read_clips(quoted).labels == ("x", 'y, or "z"')


def test_a_column_that_was_probably_meant_otherwise_is_noted(tmp_path: Path) -> None:
    sound(tmp_path / "a.wav")
    clips = read_clips(write_csv(tmp_path / "clips.csv", "path,label,folds,mic", ["a.wav,x,1,2"]))
    assert not clips.has_folds
    assert has_note(clips, "call it 'fold' if it holds that")
    assert list(clips.table.columns[6:]) == ["folds", "mic"]


def test_parquet(tmp_path: Path) -> None:
    for name in ("a.wav", "b.wav"):
        sound(tmp_path / name)
    frame = pd.DataFrame({"path": ["a.wav", "b.wav"], "label": ["x", "y"], "fold": [1, 2], "level_db": [1.5, 2.5]})
    frame.set_index("path").to_parquet(tmp_path / "clips.parquet")
    clips = read_clips(tmp_path / "clips.parquet")
    assert clips.folds == ("1", "2")
    assert clips.table["level_db"].tolist() == [1.5, 2.5]
    frame.assign(end=[1.0, -1.0]).to_parquet(tmp_path / "bad.parquet")
    with pytest.raises(DataError, match=r"bad\.parquet row 2: end must be 0 or more, got -1"):
        read_clips(tmp_path / "bad.parquet")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 and then nothing")
    with pytest.raises(DataError, match=r"broken\.parquet: cannot be read as Parquet \(") as told:
        read_clips(tmp_path / "broken.parquet")
    assert "\n" not in str(told.value)


def test_a_table_beside_unlabelled_sounds_is_followed(tmp_path: Path) -> None:
    sound(tmp_path / "audio" / "a.wav")
    write_csv(tmp_path / "clips.csv", "path,label", ["audio/a.wav,x"])
    clips = read_clips(tmp_path)
    assert clips.kind == "table"
    assert has_note(clips, "clips.csv was found")
    sound(tmp_path / "more" / "b.wav")
    clips = read_clips(tmp_path)
    assert clips.kind == "folders"
    assert has_note(clips, "There is a table too (clips.csv)")


def test_several_tables_are_not_guessed_between(tmp_path: Path) -> None:
    sound(tmp_path / "audio" / "a.wav")
    for name in ("train.csv", "test.csv"):
        write_csv(tmp_path / name, "path,label", ["audio/a.wav,x"])
    write_csv(tmp_path / "weather.csv", "path,degrees", ["audio/a.wav,20"])
    with pytest.raises(DataError, match=r"holds 2 tables of clips \(test\.csv, train\.csv\)\. Point at one of them"):
        read_clips(tmp_path)


def test_tables_inside_label_folders_are_told(tmp_path: Path) -> None:
    for name in ("mine", "yours"):
        sound(tmp_path / name / "wavs" / "a.wav")
    write_csv(tmp_path / "mine" / "clips.csv", "path,label", ["wavs/a.wav,x"])
    clips = read_clips(tmp_path)
    assert clips.labels == ("mine", "yours")
    assert has_note(clips, "Tables of clips stand in 'mine'; point at one to read that in place of the folders.")


def test_one_is_told_in_the_singular(tmp_path: Path) -> None:
    sound(tmp_path / "a.wav")
    table = write_csv(tmp_path / "clips.csv", "path,label,fold,group", ["a.wav,x,1,r"])
    clips = read_clips(table)
    assert clips.notes == (f"table in {tmp_path}: 1 clip of 1 class, 1 recording, fold 1.",)
    with pytest.raises(DataError, match=r"the only clip has the label 'x', training needs two or more"):
        check_trainable(clips)


# What is no data set


def test_a_missing_path_offers_the_near_one(tmp_path: Path) -> None:
    urbansound8k(tmp_path / "UrbanSound8K")
    with pytest.raises(PathError, match=r"no such file or folder\. Did you mean 'UrbanSound8K'\?"):
        read_clips(tmp_path / "UrbanSound8k")
    with pytest.raises(PathError, match="zzz: no such file or folder"):
        read_clips(tmp_path / "zzz")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a.wav", r"a\.wav: is a single sound, no data set\. Point at a folder"),
        ("a.zip", r"a\.zip: is an archive\. Unpack it"),
        ("a.docx", r"a\.docx: is no data set\. Point at a folder of sounds, or at a \.csv"),
    ],
)
def test_files_that_are_no_table(tmp_path: Path, name: str, message: str) -> None:
    sound(tmp_path / name)
    with pytest.raises(DataError, match=message):
        read_clips(tmp_path / name)
