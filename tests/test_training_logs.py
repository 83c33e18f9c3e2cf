"""A run's logs as curves: one a network, in order."""

from pathlib import Path

from soundfold.jobs.training_logs import read_curves

HEAD = "epoch,train_loss,train_accuracy,val_loss,val_accuracy,lr,train_s"
ROWS = ("1,2.5,0.1,,,0.001,1.0", "2,1.5,0.4,,,0.001,1.0", "3,1.0,0.6,1.25,0.5,0.001,1.0")
WHOLE = "\n".join((HEAD, *ROWS, "")).encode()


def write(folder: Path, log: bytes = WHOLE) -> Path:
    folder.mkdir(parents=True)
    (folder / "log.csv").write_bytes(log)
    return folder


def test_a_curve_is_its_log(tmp_path: Path) -> None:
    (curve,) = read_curves([(None, write(tmp_path / "run"))])
    assert (curve.fold, curve.seed, curve.name, curve.epochs) == (None, None, "", (1, 2, 3))
    assert curve.lines["train_loss"] == (2.5, 1.5, 1.0)
    assert curve.lines["val_accuracy"] == (None, None, 0.5)
    assert curve.lines["val_map"] == (None, None, None)


def test_every_seed_of_every_fold_has_its_curve(tmp_path: Path) -> None:
    for fold in (1, 2):
        for seed in (0, 2, 10):
            write(tmp_path / f"fold{fold}" / f"seed{seed}")
    curves = read_curves([(str(fold), tmp_path / f"fold{fold}") for fold in (1, 2)])
    assert [curve.name for curve in curves] == [f"fold {fold}, seed {seed}" for fold in (1, 2) for seed in (0, 2, 10)]


def test_a_run_that_was_kept_without_logs_has_none(tmp_path: Path) -> None:
    assert read_curves([("1", tmp_path / "fold1")]) == ()
    assert read_curves([]) == ()
