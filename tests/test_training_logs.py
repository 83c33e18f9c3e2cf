"""A run's logs as curves: one a network, in order; and what is damaged shortens a curve, never in silence."""

import os
from pathlib import Path

import pytest

from soundfold.jobs.training_logs import read_curves

HEAD = "epoch,train_loss,train_accuracy,val_loss,val_accuracy,lr,train_s"
ROWS = ("1,2.5,0.1,,,0.001,1.0", "2,1.5,0.4,,,0.001,1.0", "3,1.0,0.6,1.25,0.5,0.001,1.0")
WHOLE = "\n".join((HEAD, *ROWS, "")).encode()


def write(folder: Path, log: bytes = WHOLE) -> Path:
    folder.mkdir(parents=True)
    (folder / "log.csv").write_bytes(log)
    return folder


def test_a_curve_is_its_log(tmp_path: Path) -> None:
    (curve,), notes = read_curves([(None, write(tmp_path / "run"))], tmp_path / "run")
    assert notes == ()
    assert (curve.fold, curve.seed, curve.name, curve.epochs) == (None, None, "", (1, 2, 3))
    assert curve.lines["train_loss"] == (2.5, 1.5, 1.0)
    assert curve.lines["val_accuracy"] == (None, None, 0.5)
    assert curve.lines["val_map"] == (None, None, None)


def test_every_seed_of_every_fold_has_its_curve(tmp_path: Path) -> None:
    for fold in (1, 2):
        for seed in (0, 2, 10):
            write(tmp_path / f"fold{fold}" / f"seed{seed}")
    curves, notes = read_curves([(str(fold), tmp_path / f"fold{fold}") for fold in (1, 2)], tmp_path)
    assert notes == ()
    assert [curve.name for curve in curves] == [f"fold {fold}, seed {seed}" for fold in (1, 2) for seed in (0, 2, 10)]


@pytest.mark.parametrize(
    ("log", "epochs", "told"),
    [
        (WHOLE[:-12], 2, "cannot be read to its end (a row must have as many cells as the heading)"),
        (WHOLE.replace(b"1.5", b"oops"), 1, "cannot be read to its end (could not convert string to float: 'oops')"),
        (WHOLE.replace(b"1.5", b"1.5,7"), 1, "cannot be read to its end (a row must have as many cells"),
        (WHOLE.replace(b"\n3,1.0", b"\n3,\xff\xfe"), 2, "cannot be read to its end (could not convert string to float"),
        (WHOLE.replace(b"epoch,", b"step,"), 0, "has no column 'epoch'"),
        (HEAD.encode(), 0, "holds no epoch"),
        (b"", 0, "holds no epoch"),
    ],
)
def test_a_damaged_log_is_drawn_as_far_as_it_goes_and_told(tmp_path: Path, log: bytes, epochs: int, told: str) -> None:
    trainings = [("1", write(tmp_path / "fold1")), ("2", write(tmp_path / "fold2", log))]
    curves, (note,) = read_curves(trainings, tmp_path)
    assert [len(curve.epochs) for curve in curves] == [3, *([epochs] if epochs else [])]
    assert note.startswith(f"fold2/log.csv {told}")
    drawn = f"its curve ends with epoch {epochs}" if epochs else "its curve is not drawn"
    assert note.endswith(f": {drawn}. The scores do not rest on it.")


def test_a_log_that_others_have_is_missed(tmp_path: Path) -> None:
    write(tmp_path / "fold1" / "seed0")
    (tmp_path / "fold1" / "seed1").mkdir()
    curves, notes = read_curves([("1", tmp_path / "fold1"), ("2", tmp_path / "fold2")], tmp_path)
    assert [curve.name for curve in curves] == ["fold 1, seed 0"]
    assert [note.split(":")[0] for note in notes] == ["fold1/seed1/log.csv is missing", "fold2/log.csv is missing"]


def test_a_run_that_was_kept_without_logs_has_none(tmp_path: Path) -> None:
    assert read_curves([("1", tmp_path / "fold1")], tmp_path) == ((), ())
    assert read_curves([], tmp_path) == ((), ())


def test_a_pipe_in_the_place_of_a_log_is_not_waited_for(tmp_path: Path) -> None:
    write(tmp_path / "fold1")
    (tmp_path / "fold2").mkdir()
    if not hasattr(os, "mkfifo"):
        pytest.skip("this system has no named pipes")
    os.mkfifo(tmp_path / "fold2" / "log.csv")
    curves, notes = read_curves([("1", tmp_path / "fold1"), ("2", tmp_path / "fold2")], tmp_path)
    assert [curve.fold for curve in curves] == ["1"]
    assert notes == ("fold2/log.csv is no file: its curve is not drawn. The scores do not rest on it.",)
