"""Runs that are broken off, by a kill or by a full disk, and those on several machines: in the end the very results."""

import errno
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import soundfold
from conftest import SMALL
from soundfold.cli.main import main
from soundfold.cores import usable_cores
from soundfold.errors import RunError
from soundfold.evaluation import read_predictions

SET = ["-r", "tutorial", *(part for change in SMALL for part in ("--set", change))]


def kept_by(run: Path) -> Path:
    """Return the cache of `small_run`, so that nothing is decoded and exported again."""
    return run.parent / "cache"


def test_devices_and_nodes_reach_fabric(
    small_run: Path, small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {}

    def fabric(**options: object) -> None:
        asked.update(options)
        raise RunError("that was all")

    monkeypatch.setattr("lightning_fabric.Fabric", fabric)
    monkeypatch.setenv("RANK", "0")  # as torchrun or a cluster does
    places = ["--out", str(tmp_path / "run"), "--cache", str(kept_by(small_run))]
    verb = ["train", str(small_data), *SET, "--test-fold", "3", *places]
    assert main([*verb, "--devices", "2", "--num-nodes", "3", "--device", "cpu"]) == 2
    assert (asked["devices"], asked["num_nodes"], asked["accelerator"]) == (2, 3, "cpu")
    assert asked["strategy"]._start_method == "popen"  # Fabric starts none that torchrun has started
    monkeypatch.delenv("RANK")
    assert main([*verb, "--devices", "2", "--device", "cpu", "--resume"]) == 2
    assert (asked["devices"], asked["num_nodes"], asked["strategy"]._start_method) == (2, 1, "spawn")


NODES = """
import json, os, sys
from soundfold.jobs.train import train
data, out, cache, changes = json.loads(sys.argv[1])
children = []
for node in range(2):
    child = os.fork()
    if child == 0:
        os.environ |= {"RANK": str(node), "NODE_RANK": str(node), "GROUP_RANK": str(node), "LOCAL_RANK": "0"}
        train(
            data, recipe="tutorial", changes=changes, test_fold=3, device="cpu", devices=1, num_nodes=2, out=out,
            cache=cache,
        )
        os._exit(0)
    children.append(child)
sys.exit(max(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children))
"""
"""Two machines in one: a process each with a device each; they share folders, and know the first one's address."""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.long
def test_two_machines_train_what_one_does(small_run: Path, small_data: Path, tmp_path: Path) -> None:

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    told = json.dumps([str(small_data), str(tmp_path / "run"), str(kept_by(small_run)), SMALL])
    world = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "1"}
    started_by = {"TORCHELASTIC_RUN_ID": "x", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", NODES, told], env=os.environ | world | started_by, capture_output=True, text=True,
        check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    alone, together = (load_file(folder / "weights.safetensors") for folder in (small_run, tmp_path / "run"))
    for name, tensor in alone.items():
        torch.testing.assert_close(together[name], tensor, rtol=1e-3, atol=1e-4)
    mine, theirs = (read_predictions(folder / "predictions.parquet") for folder in (small_run, tmp_path / "run"))
    assert mine["path"].tolist() == theirs["path"].tolist()
    np.testing.assert_allclose(mine["p:low"], theirs["p:low"], atol=1e-3)


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
def test_folds_side_by_side_that_are_killed_and_resumed_end_as_if_unbroken(
    small_run: Path, small_data: Path, tmp_path: Path
) -> None:
    epochs = 40
    options = {"changes": [*SMALL, f"training.epochs={epochs}"], "folds": [1, 2], "cache": kept_by(small_run)}
    run, whole = tmp_path / "run", tmp_path / "whole"
    threads = torch.get_num_threads()
    torch.set_num_threads(max(1, usable_cores() // 2))  # as each of two workers has: sums in the same order
    try:
        soundfold.cross_validate(small_data, recipe="tutorial", out=whole, jobs=1, **options)
        with subprocess.Popen(
            [sys.executable, "-m", "soundfold", "cv", small_data, *SET, "--epochs", str(epochs), "--folds", "1,2",
             "--jobs", "2", "--out", run, "--cache", kept_by(small_run)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        ) as process:  # fmt: skip
            until = time.monotonic() + 120
            while len(list(run.glob("fold*/log.csv"))) < 2 or not list(run.glob("fold*/checkpoint.safetensors")):
                assert time.monotonic() < until, "no training began"
                assert process.poll() is None, "the run ended before it could be killed"
                time.sleep(0.01)
            process.send_signal(signal.SIGKILL)
        assert not list(run.glob("metrics.json"))
        wait_until_still(run)
        soundfold.cross_validate(small_data, recipe="tutorial", out=run, jobs=1, resume=True, **options)
    finally:
        torch.set_num_threads(threads)
    assert read_predictions(run / "predictions.parquet").equals(read_predictions(whole / "predictions.parquet"))
    for fold in ("fold1", "fold2"):
        assert (run / fold / "weights.safetensors").read_bytes() == (whole / fold / "weights.safetensors").read_bytes()
        logs = [(folder / fold / "log.csv").read_text().splitlines() for folder in (run, whole)]
        assert len(logs[0]) == len(logs[1]) == epochs + 1


def wait_until_still(run: Path) -> None:
    """Wait for the workers, which end by themselves once the one that started them is gone."""
    before = None
    while before != (before := [path.stat().st_mtime_ns for path in sorted(run.glob("fold*/log.csv"))]):
        time.sleep(1.0)


STAGES = ("log.csv", "checkpoint.safetensors", "predictions.parquet", "model.onnx", "metrics.json")
"""What a training writes, in the order in which the disk is full."""


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs to know which file a descriptor is")
def test_a_disk_that_is_full_at_any_stage_is_told_in_one_line_and_the_run_goes_on(
    small_run: Path,
    small_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run, sync = tmp_path / "run", os.fsync
    verb = ["train", str(small_data), *SET, "--test-fold", "3", "--out", str(run), "--cache", str(kept_by(small_run))]
    for name in STAGES:

        def full(descriptor: int, name: str = name) -> None:
            """Refuse as a file system does that finds room for data only when they are to be kept."""
            file = Path(f"/proc/self/fd/{descriptor}").readlink()
            if file.is_relative_to(run) and name in file.name:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            sync(descriptor)

        monkeypatch.setattr(os, "fsync", full)
        capsys.readouterr()
        assert main([*verb, "--resume"]) == 2, name
        told = capsys.readouterr().err.splitlines()
        ours = [line for line in told if line.startswith("soundfold: ")]
        assert ours == [told[-1]]
        assert f"{run / name}: cannot be written: No space left on device. Name a place" in told[-1]
        assert not any("Traceback" in line for line in told)
        assert not (run / name).exists()
        assert not list(run.glob("*.part"))
    monkeypatch.setattr(os, "fsync", sync)
    assert main([*verb, "--resume"]) == 0
    assert (run / "weights.safetensors").read_bytes() == (small_run / "weights.safetensors").read_bytes()
    assert read_predictions(run / "predictions.parquet").equals(read_predictions(small_run / "predictions.parquet"))
    assert {path.name for path in small_run.iterdir() if not path.name.startswith("events")} == {
        path.name for path in run.iterdir() if not path.name.startswith("events")
    }


@pytest.mark.skipif(os.name == "nt", reason="needs limits of Unix")
def test_a_checkpoint_that_may_not_grow_further_is_told_and_the_run_goes_on(
    small_run: Path, small_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import resource

    run = tmp_path / "run"
    verb = ["train", str(small_data), *SET, "--test-fold", "3", "--out", str(run), "--cache", str(kept_by(small_run))]
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, before[1]))
    try:
        assert main(verb) == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    told = capsys.readouterr().err.splitlines()
    assert f"{run / 'checkpoint.safetensors'}: cannot be written: File too large. Name a place" in told[-1]
    assert main([*verb, "--resume"]) == 0
    assert (run / "weights.safetensors").read_bytes() == (small_run / "weights.safetensors").read_bytes()
