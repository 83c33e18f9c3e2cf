"""Folds side by side: the same scores as one after another, and no worker outlives its run."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

import soundfold
from conftest import SMALL
from soundfold.cores import usable_cores
from soundfold.data.leaks import Leaks
from soundfold.data.splits import Split
from soundfold.errors import RunError
from soundfold.evaluation import SplitSummary, TrainResult, read_predictions
from soundfold.jobs import side_by_side
from soundfold.jobs.reporting import Silent
from soundfold.jobs.side_by_side import Lesson, at_once
from soundfold.jobs.training_clock import TrainingClock
from soundfold.recipe import load_recipe
from soundfold.training import EpochRecord, Hardware

SPLIT = SplitSummary(name="fold 1", kind="fold", fold="1", n_train=20, n_test=10)


def lessons(count: int, clips: int = 10_000) -> list[Lesson]:
    rows = np.arange(clips)
    split = Split("fold 1", "fold", "1", rows, rows[:0], Leaks(0, 0, ()))
    return [Lesson(split, Path(str(number)), f"fold {number}") for number in range(count)]


@pytest.mark.parametrize(
    ("folds", "cores", "expected"),
    [(3, 2, 3), (10, 2, 2), (5, 2, 3), (10, 4, 6), (5, 4, 5), (3, 16, 3), (10, 8, 10), (3, 1, 1), (1, 2, 1)],
)
def test_no_round_leaves_a_core_idle(folds: int, cores: int, expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(side_by_side, "usable_cores", lambda: cores)
    assert at_once(lessons(folds), 100, Hardware("cpu")) == expected
    assert at_once(lessons(folds, clips=10), 3, Hardware("cpu")) == 1  # not worth a process
    assert at_once(lessons(folds), 100, Hardware("cpu", devices=2)) == 1


def test_side_by_side_gives_what_one_after_another_gives(small_data: Path, tmp_path: Path) -> None:
    heard: list[tuple[str, int]] = []

    class Listening(Silent):
        def epoch(self, what: str, record: EpochRecord, _: int) -> None:
            heard.append((what, record.epoch))

    threads = torch.get_num_threads()
    torch.set_num_threads(max(1, usable_cores() // 3))  # as each worker has: sums in the same order
    try:
        alone = soundfold.cross_validate(
            small_data, recipe="tutorial", changes=SMALL, out=tmp_path / "a", cache=tmp_path / "c", jobs=1
        )
    finally:
        torch.set_num_threads(threads)
    together = soundfold.cross_validate(
        small_data,
        recipe="tutorial",
        changes=SMALL,
        out=tmp_path / "b",
        cache=tmp_path / "c",
        jobs=3,
        reporter=Listening(),
    )
    assert [fold.accuracy for fold in together.folds] == [fold.accuracy for fold in alone.folds]
    first, second = (read_predictions(tmp_path / name / "predictions.parquet") for name in ("a", "b"))
    assert first.equals(second)
    for fold in (1, 2, 3):
        weights = [(tmp_path / name / f"fold{fold}" / "weights.safetensors").read_bytes() for name in ("a", "b")]
        assert weights[0] == weights[1]
    assert sorted(heard) == [(f"fold {fold}", epoch) for fold in (1, 2, 3) for epoch in (1, 2, 3)]
    assert together.clips_per_second is not None
    assert together.clips_per_second > 0


def test_a_lesson_that_cannot_be_learned_is_told_as_it_would_be_alone(small_data: Path, tmp_path: Path) -> None:
    class Stopping(Silent):
        def epoch(self, *_: object) -> None:
            raise KeyboardInterrupt

    places = {"out": tmp_path / "run", "cache": tmp_path / "cache"}
    with pytest.raises(KeyboardInterrupt):
        soundfold.cross_validate(small_data, recipe="tutorial", changes=SMALL, **places, jobs=1, reporter=Stopping())
    (tmp_path / "run" / "fold2").mkdir()
    (tmp_path / "run" / "fold2" / "checkpoint.safetensors").write_text("damaged")
    with pytest.raises(RunError, match=r"fold2.checkpoint\.safetensors: is not a whole checkpoint"):
        soundfold.cross_validate(small_data, recipe="tutorial", changes=SMALL, **places, jobs=2, resume=True)


def test_jobs_and_devices_exclude_each_other(small_data: Path) -> None:
    with pytest.raises(RunError, match="jobs must be at least 1, and 1 with several devices, got 2"):
        soundfold.cross_validate(small_data, recipe="tutorial", jobs=2, devices=2)
    with pytest.raises(RunError, match="got 0"):
        soundfold.cross_validate(small_data, recipe="tutorial", jobs=0)


def workers_of(parent: int) -> list[int]:
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(parent)], capture_output=True, text=True, check=False)
    return [int(line) for line in found.stdout.split()]


def alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


def start(small_data: Path, tmp_path: Path, *more: str) -> subprocess.Popen[bytes]:
    changes = ["-r", "tutorial", *(part for change in (*SMALL, "training.epochs=100000") for part in ("--set", change))]
    arguments = ["cv", str(small_data), *changes, "--jobs", "2", "--out", str(tmp_path / "run"), *more]
    return subprocess.Popen(
        [sys.executable, "-m", "soundfold", *arguments, "--cache", str(tmp_path / "cache")],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def wait_for_epochs(tmp_path: Path) -> None:
    until = time.monotonic() + 90
    logs = [tmp_path / "run" / f"fold{fold}" / "checkpoint.safetensors" for fold in (1, 2)]
    while not all(log.exists() for log in logs):
        assert time.monotonic() < until, "no training began"
        time.sleep(0.1)


def assert_all_gone(processes: list[int]) -> None:
    until = time.monotonic() + 20
    while any(alive(process) for process in processes):
        assert time.monotonic() < until, "a worker outlived its run"
        time.sleep(0.05)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGKILL, signal.SIGTERM])
def test_no_worker_outlives_its_run(small_data: Path, tmp_path: Path, kind: signal.Signals) -> None:
    with start(small_data, tmp_path) as process:
        wait_for_epochs(tmp_path)
        workers = workers_of(process.pid)
        assert len(workers) == 2
        process.send_signal(kind)
        _, errors = process.communicate(timeout=30)
    assert_all_gone(workers)
    if kind == signal.SIGINT:
        assert process.returncode == 130
        assert b"Traceback" not in errors


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_killed_worker_is_told_with_its_mend_and_the_run_goes_on(small_data: Path, tmp_path: Path) -> None:
    with start(small_data, tmp_path) as process:
        wait_for_epochs(tmp_path)
        workers = workers_of(process.pid)
        os.kill(workers[0], signal.SIGKILL)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    last = errors.decode().splitlines()[-1]
    assert "was ended from outside (status -9)" in last
    assert "fewer --jobs, and continue with --resume" in last
    assert_all_gone(workers)
    epochs = json.loads((tmp_path / "run" / "run.json").read_text())["recipe"]["training"]["epochs"]
    assert epochs == 100_000


def test_overlapping_seconds_count_once(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([10.0, 11.0, 14.0])
    monkeypatch.setattr("soundfold.jobs.training_clock.time.perf_counter", lambda: next(now))
    clock = TrainingClock(Silent(), {"a": 30, "b": 60})
    for what, seconds in (("a", 4.0), ("b", 4.0), ("a", 1.0)):  # 6–10, 7–11, 13–14
        clock.epoch(what, EpochRecord(1, 1.0, 0.5, None, None, 0.1, seconds), 2)
    # a trained for 3 seconds more before the run was resumed, 10 clips a second; b for none
    results = [
        TrainResult(labels=("x", "y"), recipe={}, split=SPLIT, seconds=0.0, train_s=seconds, clips_per_second=10.0)
        for seconds in (8.0, 4.0)
    ]
    assert clock.seconds(results) == 6.0 + 3.0
    assert clock.clips_per_second(results) == (30 + 60 + 30 + 30) / 9.0


def test_a_full_disk_in_a_worker_is_told_as_in_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = json.dumps(["system", errno.ENOSPC, "No space left on device", "run/log.csv"])
    stand_in = tmp_path / "worker"
    stand_in.write_text(f"#!{sys.executable}\nprint({told!r})\n")
    stand_in.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(stand_in))
    with pytest.raises(OSError, match="No space left on device: 'run/log.csv'"):
        side_by_side.learn_side_by_side(
            None,
            lessons(2, 10),
            load_recipe("tutorial"),
            Hardware("cpu"),
            2,
            Silent(),  # type: ignore[arg-type]
        )
