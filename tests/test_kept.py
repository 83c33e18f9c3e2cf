"""What the cache keeps is told and removed on request, and never from under a process that works with it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import soundfold
from conftest import SMALL
from soundfold.cli.main import main
from soundfold.data.kept import User, list_kept, remove_kept
from soundfold.errors import DataError
from soundfold.jobs.reporting import Silent
from soundfold.models.pretrained import PUBLISHED

DAY_S = 86_400


def store(cache: Path, name: str = "sounds-8000-0123456789abcdef", features: int = 1) -> Path:
    """Write what looks like a store with features; nothing here reads them."""
    folder = cache / name
    folder.mkdir(parents=True)
    for number in range(features):
        (folder / f"features-{number:016x}").mkdir()
        (folder / f"features-{number:016x}" / "values.bin").write_bytes(bytes(100))
    (folder / "samples.i16").write_bytes(bytes(1_000))
    age(folder, 0)
    return folder


def age(folder: Path, days: float) -> None:
    when = time.time() - days * DAY_S
    for path in folder.rglob("*"):
        if path.is_file():
            os.utime(path, (when, when))


def test_what_a_training_keeps_is_not_removed_from_under_it_and_is_told_and_removed_afterwards(
    small_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache, meanwhile = tmp_path / "cache", []

    class Clears(Silent):
        def epoch(self, *_: object) -> None:
            meanwhile.append((remove_kept(cache), [kept.in_use for kept in list_kept(cache)]))

    result = soundfold.train(
        small_data, recipe="tutorial", changes=SMALL, test_fold=3, out=tmp_path / "run", cache=cache, reporter=Clears()
    )
    assert result.n == 12
    assert meanwhile == [([], [True, True])] * 3
    features, sounds = list_kept(cache)
    assert [(kept.kind, kept.in_use) for kept in (features, sounds)] == [("features", False), ("sounds", False)]
    assert features.what == f"36 pictures of 1 × 16 × 32, of {sounds.path.name}"
    assert sounds.what == "36 clips, 8,000 Hz"
    total = sum(file.stat().st_size for file in sounds.path.rglob("*") if file.is_file())
    assert features.n_bytes + sounds.n_bytes == total
    assert features.day == time.strftime("%Y-%m-%d")
    capsys.readouterr()
    assert main(["data", "cache", "--cache", str(cache)]) == 0
    told = capsys.readouterr().out
    assert "36 clips, 8,000 Hz" in told
    assert "removed" not in told
    assert main(["data", "cache", "--cache", str(cache), "--clear", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["kept"] == []
    assert {one["kind"] for one in told["removed"]} == {"features", "sounds"}
    assert sum(one["bytes"] for one in told["removed"]) == total
    assert not sounds.path.exists()


def test_what_a_process_uses_stays_until_it_ends_however_it_ends(tmp_path: Path) -> None:
    old, used = store(tmp_path), store(tmp_path, "sounds-8000-fedcba9876543210", features=0)
    age(tmp_path, 3)
    script = (
        "import sys, time; from pathlib import Path; from soundfold.data.kept import User\n"
        "user = User(Path(sys.argv[1])); user.takes(lambda: Path(sys.argv[2]), lambda path: path)\n"
        "print('ready', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", script, tmp_path, used], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        assert {kept.path for kept in list_kept(tmp_path) if kept.in_use} == {used}
        assert {kept.path for kept in remove_kept(tmp_path)} == {old, old / "features-0000000000000000"}
        assert used.exists()
    finally:
        process.send_signal(signal.SIGKILL if os.name != "nt" else signal.SIGTERM)
        process.communicate()
    assert [kept.path for kept in remove_kept(tmp_path)] == [used]


def test_what_was_taken_away_before_it_was_touched_is_made_anew(tmp_path: Path) -> None:
    user, made = User(tmp_path), []

    def make() -> Path:
        folder = store(tmp_path, features=0)
        age(tmp_path, 3)
        made.append(folder)
        if len(made) == 1:
            assert [kept.path for kept in remove_kept(tmp_path)] == [folder]
        return folder

    assert user.takes(make, lambda folder: folder).exists()
    assert len(made) == 2
    assert remove_kept(tmp_path) == []


def test_age_and_kind_choose_what_goes(tmp_path: Path) -> None:
    folder = store(tmp_path, features=2)
    age(folder / "features-0000000000000000", 40)
    assert [kept.path.name for kept in remove_kept(tmp_path, older_than_days=30)] == ["features-0000000000000000"]
    age(folder, 40)
    age(folder / "features-0000000000000001", 1)
    assert remove_kept(tmp_path, older_than_days=30) == []  # the store is old, and features in it are not
    assert remove_kept(tmp_path, kind="weights") == []
    assert [kept.kind for kept in remove_kept(tmp_path, kind="features")] == ["features"]
    store(tmp_path, "sounds-8000-fedcba9876543210")
    assert [kept.kind for kept in remove_kept(tmp_path, kind="sounds")] == ["features", "sounds", "sounds"]
    with pytest.raises(DataError, match=r"^kind must be one of sounds, features, weights, models, got 'sound'\. Leave"):
        remove_kept(tmp_path, kind="sound")
    with pytest.raises(DataError, match=r"^days must be 0 or more, got -1\."):
        remove_kept(tmp_path, older_than_days=-1)


def test_only_what_is_ours_goes(tmp_path: Path) -> None:
    for name in ("notes.txt", "weights/mine.pt", "models/mine.onnx", "sounds-of-birds/a.wav", "weights/sub/x.pt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("mine")
    mine = {path for path in tmp_path.rglob("*") if path.is_file()}
    for published in PUBLISHED.values():
        for name in (f"weights/{published.file}", f"models/{published.file}-0.1.0.onnx"):
            (tmp_path / name).write_bytes(bytes(10))
    store(tmp_path)
    left = tmp_path / ".gone-0123abcd"  # by a removal that was killed
    left.mkdir()
    assert len(remove_kept(tmp_path)) == 2 + 2 * len(PUBLISHED)
    assert {path for path in tmp_path.rglob("*") if path.is_file() and path.parent.name != "users"} == mine
    assert not left.exists()


def test_a_users_own_folder_of_the_same_name_stays(tmp_path: Path) -> None:
    """Neither listing nor removing takes what only looks like a trace of a process, nor follows a link."""
    for name in ("users/2024-budget.txt", "users/1763769600000000000-12-0123abcd", "far/weights/mn04_as_mAP_432.pt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("precious")
    cache = tmp_path / "cache"
    cache.mkdir()
    (tmp_path / "users").rename(cache / "users")
    elsewhere = tmp_path / "far" / "store"
    elsewhere.mkdir()
    (elsewhere / "index.parquet").write_text("precious")
    try:
        (cache / "weights").symlink_to(tmp_path / "far" / "weights")
        (cache / "sounds-8000-0123456789abcdef").symlink_to(elsewhere)
    except OSError:
        pytest.skip("this system makes no links")
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    assert list_kept(cache) == []
    assert remove_kept(cache) == []
    assert {path for path in tmp_path.rglob("*") if path.is_file() and path.name != "gate.lock"} == before
    assert all(path.read_text() == "precious" for path in before)


def test_an_empty_cache_and_idle_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gone = tmp_path / "none"
    assert main(["data", "cache", "--cache", str(gone), "--clear"]) == 0
    assert "kept:       0 bytes" in capsys.readouterr().out
    assert not gone.exists()
    assert main(["data", "cache", "--cache", str(gone), "--only", "sounds"]) == 2
    assert "--only says what to remove, got sounds without --clear or --older-than" in capsys.readouterr().err
