"""The ladder on clips that bear several labels: what its lowest rung is worth, its measure, its test, its words."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import soundfold
from conftest import SMALL, SOUND
from soundfold.cli import main
from soundfold.data import read_clips
from soundfold.errors import RecipeError, RunError
from soundfold.evaluation import predictions_table, read_predictions, score_folds
from soundfold.evaluation.comparison import compare_predictions
from soundfold.evaluation.ladder import LadderResult, verdict
from soundfold.recipe import load_recipe, save_recipe
from soundfold.training import FitJob, fit
from tone_tables import write_tones


@pytest.fixture(scope="module")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of clips with none, either or both of two labels, which no two folds bear equally often."""
    whole = write_tones(tmp_path_factory.mktemp("tones") / "data")
    table = pd.read_csv(whole, keep_default_na=False)
    lacking = table["label"].str.contains("high") & (np.arange(len(table)) % 5 < table["fold"])
    table[~lacking].to_csv(whole.with_name("uneven.csv"), index=False)
    return whole.with_name("uneven.csv")


@pytest.fixture(scope="module")
def recipes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("recipes")
    made = {"mfcc": load_recipe("mfcc", [*SOUND, "n_mfcc=8"]), "tutorial": load_recipe("tutorial", SMALL)}
    for name, recipe in made.items():
        save_recipe(recipe, folder / f"{name}.yaml")
    return {name: folder / f"{name}.yaml" for name in made}


@pytest.fixture(scope="module")
def climbed(tones: Path, recipes: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> LadderResult:
    folder = tmp_path_factory.mktemp("ladder")
    only = ["majority", recipes["mfcc"], recipes["tutorial"]]
    return soundfold.ladder(tones, epochs=1, only=only, out=folder / "out", cache=folder / "cache")


def test_the_lowest_rung_ranks_no_clip_before_another_so_prevalence_is_its_score(
    climbed: LadderResult, tones: Path
) -> None:
    clips = read_clips(tones)
    fold = clips.table["fold"].to_numpy()
    prevalence = {name: clips.membership()[fold == name].mean(axis=0) for name in clips.folds}
    assert len({tuple(shares) for shares in prevalence.values()}) == 3
    expected = [shares.mean() for shares in prevalence.values()]
    rung = climbed.rungs[0]
    assert [each.mean_average_precision for each in rung.folds] == pytest.approx(expected)
    assert rung.mean_average_precision == pytest.approx(np.mean(expected))
    assert rung.mean_average_precision_std == pytest.approx(np.std(expected, ddof=1))
    told = read_predictions(Path(rung.out) / "predictions.parquet")
    for name in clips.folds:
        shares = clips.membership()[fold != name].mean(axis=0)
        here = told[told["fold"] == name][[f"p:{label}" for label in clips.labels]]
        np.testing.assert_allclose(here, np.tile(shares, (len(here), 1)), rtol=1e-6)


def test_every_rungs_scores_are_those_of_its_kept_predictions(climbed: LadderResult) -> None:
    assert [rung.name for rung in climbed.rungs] == ["majority", "mfcc", "tutorial"]
    for rung in climbed.rungs:
        told = score_folds(read_predictions(Path(rung.out) / "predictions.parquet"))
        for field in ("mean_average_precision", "mean_average_precision_std", "mean_average_precision_pooled",
                      "mean_average_precision_ci95", "macro_f1", "n"):  # fmt: skip
            assert getattr(rung, field) == getattr(told, field)
        assert [fold.mean_average_precision for fold in rung.folds] == [
            fold.mean_average_precision for fold in told.folds
        ]
        assert (rung.accuracy_mean, rung.accuracy_pooled, rung.accuracy_ci95) == (None, None, None)
    assert (climbed.rungs[1].mean_average_precision or 0) > 0.9


def test_pairs_are_compared_as_compare_does_and_corrected_for_their_number(climbed: LadderResult) -> None:
    tables = {rung.name: read_predictions(Path(rung.out) / "predictions.parquet") for rung in climbed.rungs}
    assert [(found.a, found.b) for found in climbed.comparisons] == [
        ("majority", "mfcc"), ("majority", "tutorial"), ("mfcc", "tutorial")
    ]  # fmt: skip
    for found in climbed.comparisons:
        alone = compare_predictions(tables[found.a], tables[found.b])
        assert (found.difference, found.p_value) == (alone.difference, alone.p_value)
        assert found.p_corrected >= found.p_value
    assert climbed.comparisons[0].beyond_chance
    assert climbed.cheapest_unbeaten == "mfcc"
    assert "points of mAP" in climbed.sentence


def test_the_json_tells_the_measure_and_comes_back(climbed: LadderResult) -> None:
    text = (Path(climbed.out) / "ladder.json").read_text()
    assert LadderResult.model_validate_json(text) == climbed
    for rung in json.loads(text)["rungs"]:
        assert rung["accuracy_mean"] is None
        assert 0 < rung["mean_average_precision"] <= 1
        assert all(fold["accuracy"] is None and fold["mean_average_precision"] > 0 for fold in rung["folds"])


def test_a_ladder_goes_on_where_it_stopped_and_learns_nothing_twice(
    tones: Path, recipes: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted: list[str] = []

    def counting(job: FitJob, *rest: Any) -> object:
        name = f"{job.folder.parent.name}/{job.folder.name}"
        if name == "tutorial/fold2" and len(fitted) == 4:
            raise RunError("the light went out")
        fitted.append(name)
        return fit(job, *rest)

    monkeypatch.setattr("soundfold.jobs.learning.fit", counting)
    only = ["majority", *recipes.values()]

    def climb(*, resume: bool) -> LadderResult:
        return soundfold.ladder(
            tones, epochs=1, only=only, out=tmp_path / "out", cache=tmp_path / "cache", jobs=1, resume=resume
        )

    with pytest.raises(RunError, match="the light went out"):
        climb(resume=False)
    fitted.append("resumed")
    result = climb(resume=True)
    expected = [f"{name}/fold{fold}" for name in ("mfcc", "tutorial") for fold in (1, 2, 3)]
    assert fitted == [*expected[:4], "resumed", *expected[4:]]
    assert [rung.name for rung in result.rungs] == ["majority", "mfcc", "tutorial"]
    assert climb(resume=True).rungs[2].mean_average_precision == result.rungs[2].mean_average_precision
    assert len(fitted) == 7


def test_people_are_told_the_measure_and_what_the_lowest_rung_answers(
    climbed: LadderResult, tones: Path, recipes: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    only = ",".join(["majority", *map(str, recipes.values())])
    cache = Path(climbed.out).parent / "cache"
    again = ["ladder", str(tones), "--epochs", "1", "--only", only, "--out", climbed.out, "--resume"]
    assert main([*again, "--cache", str(cache)]) == 0
    out = capsys.readouterr().out
    heading, first, *_ = out.splitlines()
    assert heading.split()[:4] == ["rung", "mAP", "pooled", "95"]
    reached, std = climbed.rungs[0].mean_average_precision or 0, climbed.rungs[0].mean_average_precision_std or 0
    assert first.split()[:5] == ["majority", f"{100 * reached:.1f}", "±", f"{100 * std:.1f}", "%"]
    assert "mAP:       mean ± deviation over 3 folds" in out
    assert "majority:  answers each label's share of the training clips, whatever the sound" in out
    assert "mfcc is better than majority by" in out
    assert "accuracy" not in out


def test_a_report_of_rungs_names_their_measure(climbed: LadderResult, tmp_path: Path) -> None:
    runs = [rung.out for rung in climbed.rungs[:2]]
    page = soundfold.report(runs, out=tmp_path / "page.html", clips=0).read_text(encoding="utf-8")
    assert "Mean average precision of" in page
    assert "mfcc is better than majority by" in page
    assert "points of mAP" in page
    assert "It has no settings." in page
    assert "accuracy, %" not in page


def test_rungs_that_take_a_cell_differently_are_refused_before_any_work(tones: Path, tmp_path: Path) -> None:
    one = load_recipe("mfcc", ["training.labels=one", "name=one"])
    several = load_recipe("mfcc", ["training.labels=several", "name=several"])
    with pytest.raises(RecipeError, match="how many labels a clip bears, got one by one and several by several. Set"):
        soundfold.ladder(tones, only=["majority", one, several], out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_where_no_tested_clip_bears_a_label_there_is_no_score(
    tones: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = pd.read_csv(tones, keep_default_na=False)
    silent = table.assign(label=table["label"].where(table["fold"] != 3, ""))
    silent.to_csv(tones.with_name("silent.csv"), index=False)
    arguments = ["ladder", str(tones.with_name("silent.csv")), "--only", "majority", "--out", str(tmp_path / "out")]
    assert main([*arguments, "--folds", "3"]) == 0
    assert capsys.readouterr().out.splitlines()[1].split() == ["majority", *"––––––"]
    assert main([*arguments[:-1], str(tmp_path / "two"), "--folds", "1,2,3"]) == 0
    assert "mean ± deviation over 2 folds;" in capsys.readouterr().out
    page = soundfold.report(tmp_path / "out" / "majority", clips=0).read_text(encoding="utf-8")
    assert "clips that were held out bears a label, so there is no score." in page


def test_a_verdict_on_rankings_is_in_points_of_map() -> None:
    truth = np.random.default_rng(0).random((80, 2)) < (0.5, 0.3)
    clips = pd.DataFrame({
        "path": [f"{i}.wav" for i in range(80)], "fold": "1", "group": [f"r{i // 2}" for i in range(80)],
        "label": [";".join(np.array(["bark", "horn"])[row]) for row in truth],
    })  # fmt: skip
    a, b = (
        predictions_table(clips, ("bark", "horn"), np.random.default_rng(seed).random((80, 2)), several=True)
        for seed in (1, 2)
    )
    found = compare_predictions(a, b, names=("cheap", "dear"))
    told = f"(dear {100 * found.difference:+.1f} points of mAP, p = "
    assert told in verdict(["cheap", "dear"], [found])


def test_all_pairs_of_rungs_are_compared_on_exchanges_drawn_for_all(
    climbed: LadderResult, tones: Path, recipes: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("soundfold.evaluation.multi_label._MOST_CELLS", 1)
    monkeypatch.setattr("soundfold.evaluation.comparison_of_several._FEWEST_EACH", 100)
    only, cache = ["majority", *recipes.values()], Path(climbed.out).parent / "cache"
    again = soundfold.ladder(tones, epochs=1, only=only, out=climbed.out, cache=cache, resume=True)
    for found in again.comparisons:
        assert any("rests on 300 exchanges drawn at random" in note for note in found.notes)
