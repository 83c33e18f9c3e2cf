"""Walking a folder: what is met, in which order, and that `predict`, `bulk` and training meet the same."""

import os
from pathlib import Path

import numpy as np
import pytest

from soundfold.audio import Met, walk
from soundfold.bulk.listing import Listing
from soundfold.cli.sounds import named_sounds

pytestmark = pytest.mark.runtime
ODD = ["b.wav/in.flac", "a.WAV", "c/z.wav", "c/d/e.mp3", "ä.ogg", "C.wav", "10.wav", "9.wav", "-x.wav"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in (*ODD, "notes.txt", ".hidden/a.wav", "__MACOSX/b.wav", "c/._z.wav", "c/.hid.wav"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    return tmp_path


def met(root: Path, kind: str) -> list[str]:
    return [os.path.relpath(one.path, root) for one in walk(str(root)) if one.kind == kind]


def test_sounds_come_in_the_order_of_their_names_and_nothing_hidden(folder: Path) -> None:
    assert met(folder, "sound") == sorted(ODD, key=lambda name: name.split("/"))
    assert met(folder, "other") == ["notes.txt"]
    assert next(walk(str(folder))) == Met(str(folder), "folder")


def test_a_folder_is_entered_once_and_by_its_own_name(folder: Path) -> None:
    try:
        (folder / "0first").symlink_to(folder / "c", target_is_directory=True)
        (folder / "c" / "up").symlink_to(folder, target_is_directory=True)
        (folder / "itself.wav").symlink_to(folder / "itself.wav")
        (folder / "gone.wav").symlink_to(folder / "nothing")
        os.mkfifo(folder / "pipe.wav")
    except (OSError, AttributeError):
        pytest.skip("this system makes no links or pipes")
    assert met(folder, "sound") == sorted(ODD, key=lambda name: name.split("/"))
    assert met(folder, "again") == ["0first", "c/up"]
    assert met(folder, "broken") == ["gone.wav", "itself.wav", "pipe.wav"]


def test_folders_deeper_than_python_calls_are_walked(tmp_path: Path) -> None:
    deep = [str(tmp_path) + "/d" * depth for depth in range(1, 1_101)]
    for folder in deep:
        os.mkdir(folder)  # noqa: PTH102 (Path itself calls as deep)
    assert len(met(tmp_path, "folder")) == 1 + 1_100
    for folder in reversed(deep):
        os.rmdir(folder)  # noqa: PTH106 (so would what clears away after tests)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="this user may read everything")
def test_a_locked_folder_is_told_and_the_others_are_walked(folder: Path) -> None:
    (folder / "c").chmod(0)
    try:
        assert met(folder, "locked") == ["c"]
        assert "9.wav" in met(folder, "sound")
    finally:
        (folder / "c").chmod(0o755)


def test_a_folder_that_goes_while_it_is_walked_is_told(folder: Path) -> None:
    under_way = walk(str(folder))
    next(under_way)
    (folder / "b.wav" / "in.flac").unlink()
    (folder / "b.wav").rmdir()
    (told,) = [one for one in under_way if one.kind == "locked"]
    assert (
        told.reason == f"{folder}/b.wav: the folder cannot be read (No such file or directory). Check its permissions"
    )


def test_all_that_walk_a_folder_find_the_same(folder: Path) -> None:
    data = pytest.importorskip("soundfold.data.files", reason="needs pandas")
    (folder / "gone.wav").symlink_to(folder / "nothing")
    predicted = [one.name for one in named_sounds(folder)]
    assert predicted == [sound.file for sound in Listing(folder)]
    scan = data.scan_sounds(folder)
    assert sorted(predicted) == sorted(str(folder.joinpath(*way)) for way in scan.sounds + scan.broken)
    assert len(predicted) == len(np.unique(predicted)) == len(ODD) + 1
