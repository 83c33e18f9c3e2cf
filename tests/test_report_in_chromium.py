"""The report in real Chromium, light and dark, on a phone and on a desk: whole, quiet, and asking nobody."""

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread

from chromium import browser, until, watched
from made_up_runs import ODD, made_up
from soundfold.evaluation import CvResult, SeedScore, SeedScores, SplitSummary, TrainResult, score, score_folds
from soundfold.evaluation.report import RATE_HZ, Curve, ReportRun, embed_sound, render_page

SECTIONS = ["Scores", "By fold", "By class", "How far to trust the probabilities", "Who is taken for whom", "Training",
            "What leaked", "Surest and wrong", "Recipe", "Cost"]  # fmt: skip
ACCOUNT = {"recipe": {}, "split": SplitSummary(name="all", kind="random", n_train=9, n_test=240), "seconds": 1.0}
OVERVIEW = ["Side by side", "Beyond chance?", "Recall by class", "Where the recipes differ"]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as opened:
        yield opened


def a_run(name: str) -> ReportRun:
    """Return a cross-validation by two networks a fold, with sounds, a damaged log and labels that are hard to show."""
    drawn = made_up(ODD, name=name)
    table = drawn.predictions.assign(fold=[str(k % 2 + 1) for k in range(len(drawn.predictions))])
    folds = tuple(SeedScore(fold=fold, mean=0.5, std=0.01) for fold in (1, 2))
    result = CvResult(
        **dict(score_folds(table, train_s={"1": 3.0})), recipe=drawn.result.recipe, split=drawn.result.split,
        leaks=drawn.result.leaks, seconds=9.0, hardware=drawn.result.hardware, left_out=drawn.result.left_out,
        seeds=SeedScores(seeds=(0, 1), measure="accuracy", mean=0.5, std_folds=0.02, std_seeds=0.01, folds=folds),
    )  # fmt: skip
    falling = {"train_loss": (2.0, 1.0, 0.5), "val_loss": (2.0, None, 1.5), "train_accuracy": (0.2, 0.6, 0.9)}
    curves = tuple(Curve(fold, (1, 2, 3), falling, seed) for fold in "12" for seed in "01")
    tone = embed_sound(np.sin(2 * np.pi * 440 * np.arange(RATE_HZ) / RATE_HZ).astype(np.float32))
    clips = tuple(replace(clip, sound=tone) for clip in drawn.clips)
    return replace(
        drawn,
        result=result,
        predictions=table,
        curves=curves,
        clips=clips,
        log_notes=(f"{'x' * 90}/log.csv is missing",),
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("runs", [1, 2])
def test_the_page_is_whole_and_no_wider_than_the_window(chromium: Any, tmp_path: Path, scheme: str, runs: int) -> None:
    path = tmp_path / "report.html"
    path.write_text(render_page([a_run(name) for name in ODD[:runs]]), encoding="utf-8")
    with watched(chromium, path.as_uri(), "data:", color_scheme=scheme) as page:
        headings = page.evaluate(
            "[...document.querySelectorAll('section > :first-child')].map((one) => one.textContent)"
        )
        assert headings == (SECTIONS if runs == 1 else [*OVERVIEW, *SECTIONS, *SECTIONS])
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (min(int(part) for part in ground[4:-1].split(",")) > 200) == (scheme == "light")
        until(page, "[...document.querySelectorAll('audio')].every((one) => one.readyState > 0)")
        assert page.evaluate("document.querySelectorAll('audio').length") == 5 * runs
        for width in (400, 1200):
            page.set_viewport_size({"width": width, "height": 800})
            assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_bars_stand_under_each_other_and_a_table_shows_that_it_goes_on(chromium: Any, tmp_path: Path) -> None:
    """One class is always answered rightly, so that a cell says 100.0 %; on a desk the table by class fits."""
    drawn = made_up(("dog_bark", "children_playing", "air_conditioner"))
    table = drawn.predictions.assign(label=lambda t: t["label"].where(t["predicted"] == t["label"], "dog_bark"))
    path = tmp_path / "report.html"
    path.write_text(render_page([replace(drawn, result=TrainResult(**dict(score(table)), **ACCOUNT))]), "utf-8")
    with watched(chromium, path.as_uri(), "data:") as page:
        page.set_viewport_size({"width": 1000, "height": 800})
        assert "100.0 %" in page.inner_text("#classes")
        starts = page.evaluate(
            "[...document.querySelectorAll('#classes tbody tr')].map((row) => "
            "[...row.querySelectorAll('.bars')].map((bar) => Math.round(bar.getBoundingClientRect().x)))"
        )
        assert starts == [starts[0]] * 3
        goes_on = "(() => { const one = document.querySelector('#classes .scroll'); {} })()"
        wider = goes_on.replace("{}", "return one.scrollWidth > one.clientWidth;")
        assert not page.evaluate(wider)
        page.set_viewport_size({"width": 375, "height": 800})
        assert page.evaluate(wider)
        for there, dark in ((0, [False, True]), (20, [True, True]), (9_999, [True, False])):
            page.evaluate(goes_on.replace("{}", f"one.scrollLeft = {there};"))
            seen = imread(io.BytesIO(page.locator("#classes .scroll").screenshot()))
            assert (seen[2, [2, -3], 0] < 0.95).tolist() == dark, (
                "a shadow lies where the table goes on, and there alone"
            )
