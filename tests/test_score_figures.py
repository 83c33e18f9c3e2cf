"""Figures of scores, drawn at once or by a process beside: the same ones, and none is lost."""

import os
import signal
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import soundfold
from conftest import SMALL
from soundfold.errors import PathError
from soundfold.evaluation import predictions_table, score
from soundfold.jobs import score_figures
from soundfold.jobs.score_figures import drawing_beside, has_score_figures, save_score_figures


@pytest.fixture(scope="module")
def scores():
    clips = pd.DataFrame({
        "path": [f"{k}.wav" for k in range(40)], "label": ["low", "high"] * 20, "fold": "1",
        "group": [str(k // 2) for k in range(40)], "start": np.nan, "end": np.nan,
    })  # fmt: skip
    rows = np.random.default_rng(0).dirichlet((1, 1), 40)
    return score(predictions_table(clips, ("high", "low"), rows), groups_known=True)


def places(root: Path) -> list[Path]:
    found = [root / name for name in ("a", "b", "c")]
    for folder in found:
        folder.mkdir()
    return found


def test_figures_drawn_beside_are_those_drawn_here(scores, tmp_path):
    here, *beside = places(tmp_path)
    save_score_figures(here, scores)
    with drawing_beside():
        for folder in beside:
            save_score_figures(folder, scores)
    for folder in beside:
        assert (folder / "confusion.png").read_bytes() == (here / "confusion.png").read_bytes()


@pytest.mark.skipif(os.name == "nt", reason="kills a process as POSIX does")
def test_what_a_killed_process_has_not_drawn_is_drawn_here(scores, tmp_path):
    with drawing_beside():
        for folder in places(tmp_path):
            save_score_figures(folder, scores)
            os.kill(score_figures._beside.get()._process.pid, signal.SIGKILL)
    assert all(has_score_figures(tmp_path / name) for name in "abc")


def test_a_folder_that_is_gone_is_told(scores, tmp_path):
    with pytest.raises(PathError, match="gone"), drawing_beside():
        save_score_figures(tmp_path / "gone", scores)


def test_whoever_is_stopped_waits_for_no_figure_and_finds_it_later(scores, tmp_path):
    processes = []

    def stopped() -> None:
        with drawing_beside():
            save_score_figures(tmp_path, scores)
            processes.append(score_figures._beside.get()._process)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert processes[0].wait(60) == 0
    assert has_score_figures(tmp_path)
    assert score_figures._beside.get() is None


def test_a_figure_that_was_lost_is_drawn_when_the_run_goes_on(small_data, tmp_path):
    options = {"recipe": "tutorial", "changes": (*SMALL, "training.epochs=1"), "cache": tmp_path / "cache"}
    soundfold.cross_validate(small_data, out=tmp_path / "run", **options)
    for lost in ("metrics.json", "fold1/confusion.png"):
        (tmp_path / "run" / lost).unlink()
    began = time.time()
    soundfold.cross_validate(small_data, out=tmp_path / "run", resume=True, **options)
    assert (tmp_path / "run/fold1/confusion.png").stat().st_mtime > began - 1
    assert (tmp_path / "run/fold2/confusion.png").stat().st_mtime < began
