"""The ladder: rungs under the same folds, what is left out, the verdict; and the MFCC rung's pooling."""

import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LogisticRegression

import soundfold
from conftest import SMALL, SOUND
from soundfold.cli import main
from soundfold.data import open_store, read_clips
from soundfold.errors import PathError, RecipeError, RunError
from soundfold.evaluation import predictions_table, read_predictions
from soundfold.evaluation.comparison import compare_predictions, correct_for_many
from soundfold.evaluation.ladder import LadderResult, cheapest_unbeaten, verdict
from soundfold.features import with_deltas
from soundfold.jobs.ladder_rungs import choose_rungs, continue_rungs
from soundfold.jobs.reporting import Silent
from soundfold.jobs.run_folder import begin
from soundfold.models import LinearNet
from soundfold.recipe import load_recipe, preset_names, save_recipe
from soundfold.training import build_feature_cache, open_feature_cache


@pytest.fixture(scope="module")
def recipes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Small recipes in files, so that the ladder has names to sort and folders to make."""
    folder = tmp_path_factory.mktemp("recipes")
    missing = f"features.weights={folder / 'none.pt'}"
    made = {
        "mfcc": load_recipe("mfcc", [*SOUND, "n_mfcc=8"]),
        "tutorial": load_recipe("tutorial", SMALL),
        "probe": load_recipe("probe", ["sound.length_s=0.5", missing]),
    }
    for name, recipe in made.items():
        save_recipe(recipe, folder / f"{name}.yaml")
    return {name: folder / f"{name}.yaml" for name in made}


@pytest.fixture(scope="module")
def climbed(small_data: Path, recipes: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> LadderResult:
    folder = tmp_path_factory.mktemp("ladder")
    return soundfold.ladder(
        small_data, folds=[1], epochs=2, only=["majority", recipes["mfcc"], recipes["tutorial"], recipes["probe"]],
        out=folder / "out", cache=folder / "cache",
    )  # fmt: skip


def test_rungs_stand_from_cheap_to_dear_over_the_same_clips(climbed: LadderResult) -> None:
    assert [rung.name for rung in climbed.rungs] == ["majority", "mfcc", "tutorial"]
    paths = [read_predictions(Path(rung.out) / "predictions.parquet")[["path", "fold"]] for rung in climbed.rungs]
    assert all(table.equals(paths[0]) for table in paths)
    assert {rung.n for rung in climbed.rungs} == {12}
    assert [found.b for found in climbed.comparisons if found.a == "majority"] == ["mfcc", "tutorial"]
    assert {found.n for found in climbed.comparisons} == {12}
    assert climbed.rungs[1].accuracy_mean > 0.9
    text = (Path(climbed.out) / "ladder.json").read_text()
    assert LadderResult.model_validate_json(text) == climbed
    assert not [field for rung in json.loads(text)["rungs"] for field in rung if "average_precision" in field]


def test_epochs_are_for_those_that_learn_in_epochs(climbed: LadderResult) -> None:
    epochs = [load_recipe(Path(rung.out) / "recipe.yaml").training.epochs for rung in climbed.rungs[1:]]
    assert epochs == [1, 2]


def test_cost_is_measured_on_the_model_file(climbed: LadderResult) -> None:
    assert (climbed.rungs[0].file_bytes, climbed.rungs[0].latency_ms) == (None, None)
    for rung in climbed.rungs[1:]:
        assert rung.file_bytes == (Path(rung.out) / "fold1" / "model.onnx").stat().st_size
        assert rung.latency_ms is not None
        assert 0 < rung.latency_ms < 1000
        assert rung.train_s > 0


def test_a_rung_without_its_weights_is_left_out_with_the_reason(climbed: LadderResult) -> None:
    assert [rung.name for rung in climbed.left_out] == ["probe"]
    assert "none.pt: the weights' source must be a file of weights" in climbed.left_out[0].reason
    assert not (Path(climbed.out) / "probe").exists()


def test_a_ladder_without_any_rung_is_refused(small_data: Path, recipes: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no rung of probe can be tried; probe: .*none\.pt"):
        soundfold.ladder(small_data, only=[recipes["probe"]], out=tmp_path / "out")


def test_rungs_are_runs_as_any_other(climbed: LadderResult, capsys: pytest.CaptureFixture[str]) -> None:
    cheap, dear = (f"{climbed.out}/{name}" for name in ("majority", "mfcc"))
    assert soundfold.compare([cheap, dear]).comparisons[0].difference > 0.4
    with pytest.raises(PathError, match="is a ladder with a run a rung"):
        soundfold.compare([climbed.out, dear])


def test_a_ladder_goes_on_where_it_stopped(
    climbed: LadderResult, small_data: Path, recipes: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr("soundfold.jobs.lessons.learn_split", refuse)
    cache = Path(climbed.out).parent / "cache"
    only = ["majority", recipes["mfcc"], recipes["tutorial"]]
    again = soundfold.ladder(small_data, folds=[1], epochs=2, only=only, out=climbed.out, cache=cache, resume=True)
    assert [rung.accuracy_mean for rung in again.rungs] == [rung.accuracy_mean for rung in climbed.rungs]
    with pytest.raises(RunError, match="was begun with epochs = 2, got 3. Continue with the same"):
        soundfold.ladder(small_data, folds=[1], epochs=3, only=only, out=climbed.out, cache=cache, resume=True)
    with pytest.raises(PathError, match="is not empty"):
        soundfold.ladder(small_data, folds=[1], epochs=2, only=only, out=climbed.out, cache=cache)
    with pytest.raises(RunError, match="was begun with verb = cv, got ladder"):
        soundfold.ladder(small_data, out=climbed.rungs[1].out, resume=True)


def test_a_rung_goes_on_with_the_recipe_that_it_was_begun_with(
    climbed: LadderResult, small_data: Path, recipes: dict[str, Path], tmp_path: Path
) -> None:
    """A preset may have changed since."""
    said: list[str] = []

    class Notes(Silent):
        def note(self, sentence: str) -> None:
            said.append(sentence)

    changed = tmp_path / "mfcc.yaml"
    save_recipe(load_recipe(recipes["mfcc"], ["training.c=0.5"]), changed)
    cache = Path(climbed.out).parent / "cache"
    again = soundfold.ladder(
        small_data, folds=[1], epochs=2, only=[changed, recipes["tutorial"]], out=climbed.out, cache=cache, resume=True,
        reporter=Notes(),
    )  # fmt: skip
    assert [rung.accuracy_mean for rung in again.rungs] == [rung.accuracy_mean for rung in climbed.rungs]
    told = "rung mfcc: goes on with the recipe it was begun with, which is another one today"
    assert [sentence for sentence in said if "begun with" in sentence] == [told]


def test_a_rung_is_added_to_those_there_are(
    climbed: LadderResult, small_data: Path, recipes: dict[str, Path], tmp_path: Path
) -> None:
    shutil.copytree(climbed.out, tmp_path / "out")
    other = tmp_path / "other.yaml"
    save_recipe(load_recipe(recipes["mfcc"], ["training.c=0.5", "name=other"]), other)
    cache = Path(climbed.out).parent / "cache"
    asked = {"folds": [1], "epochs": 2, "out": tmp_path / "out", "cache": cache, "resume": True}
    added = soundfold.ladder(small_data, only=[other], **asked)
    names = [rung.name for rung in climbed.rungs]
    assert [rung.name for rung in added.rungs] == [*names, "other"]
    assert [rung.accuracy_mean for rung in added.rungs[:-1]] == [rung.accuracy_mean for rung in climbed.rungs]
    assert [rung.name for rung in soundfold.ladder(small_data, only=["majority"], **asked).rungs] == [*names, "other"]


def test_rungs_of_ones_own_stay_in_the_order_in_which_they_were_begun(tmp_path: Path) -> None:
    """It says which is the dearer of two."""
    named = [load_recipe("mfcc", [f"name={name}"]) for name in ("beta", "alpha")]
    rungs = choose_rungs(named, None, 0)
    for place, (name, recipe) in enumerate(rungs.items()):
        begin(tmp_path / name, {"verb": "cv", "recipe": recipe.as_dict()})
        os.utime(tmp_path / name / "run.json", (place, place))
    for asked in (named, named[:1], named[1:]):
        assert list(continue_rungs(choose_rungs(asked, None, 0), tmp_path, Silent())) == ["beta", "alpha"]


def test_a_rung_without_its_mark_is_told_with_its_mend(
    climbed: LadderResult, small_data: Path, recipes: dict[str, Path], tmp_path: Path
) -> None:
    shutil.copytree(climbed.out, tmp_path / "out")
    (tmp_path / "out" / "mfcc" / "run.json").unlink()
    cache = Path(climbed.out).parent / "cache"
    with pytest.raises(RunError, match=r"mfcc: has lost its run.json, .* Remove that folder"):
        soundfold.ladder(
            small_data, folds=[1], epochs=2, only=[recipes["mfcc"]], out=tmp_path / "out", cache=cache, resume=True
        )


def test_changed_labels_are_noticed_before_anything_is_written(small_data: Path, tmp_path: Path) -> None:
    rows = read_clips(small_data).table[["path", "label", "fold", "group"]]
    rows.to_csv(tmp_path / "clips.csv", index=False)
    asked = {"only": ["majority"], "out": tmp_path / "out", "cache": tmp_path / "cache"}
    soundfold.ladder(tmp_path / "clips.csv", **asked)
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    rows.assign(label=rows["label"].replace({"low": "high", "high": "low"})).to_csv(tmp_path / "clips.csv", index=False)
    with pytest.raises(RunError, match="labels, folds or recordings of the clips have changed"):
        soundfold.ladder(tmp_path / "clips.csv", **asked, resume=True)
    assert before == {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}


def test_majority_is_the_training_sides(small_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # fold 1 has more of one label, so the others' training side does, and fold 1 is tested by a tie
    rows = read_clips(small_data).table[["path", "label", "fold", "group"]]
    lean = rows[~((rows["fold"] == "1") & (rows["label"] == "high") & rows["path"].str.contains("clip [0-3]"))]
    lean.to_csv(tmp_path / "clips.csv", index=False)
    arguments = ["ladder", str(tmp_path / "clips.csv"), "--only", "majority", "--out", str(tmp_path / "out")]
    assert main([*arguments, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert [fold["accuracy"] for fold in result["rungs"][0]["folds"]] == [2 / 8, 0.5, 0.5]
    told = read_predictions(tmp_path / "out" / "majority" / "predictions.parquet").set_index("fold")
    assert set(told.loc["2", "predicted"]) == {"low"}
    assert told.loc["2", "p:low"].iloc[0] == pytest.approx(12 / 20)
    assert "one rung only" in result["sentence"]
    assert main([*arguments, "--resume"]) == 0
    assert "majority" in capsys.readouterr().out


def test_what_cannot_be_climbed_is_told_before_any_work(small_data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(RecipeError, match="no recipe 'mfc'. Did you mean 'mfcc'"):
        soundfold.ladder(small_data, only=["mfc"], out=out)
    with pytest.raises(RecipeError, match="rungs of different names, got 'mfcc' twice"):
        soundfold.ladder(small_data, only=["mfcc", load_recipe("mfcc", ["c=1"])], out=out)
    with pytest.raises(RecipeError, match="must name at least one rung"):
        soundfold.ladder(small_data, only=[], out=out)
    with pytest.raises(soundfold.SoundfoldError, match="fold must be one of 1, 2, 3, got '9'"):
        soundfold.ladder(small_data, folds=[9], out=out)
    with pytest.raises(RunError, match="--resume must be told which ladder"):
        soundfold.ladder(small_data, resume=True)
    assert not out.exists()


def answered(shares: dict[str, float]) -> tuple[list[str], tuple]:
    """Compare made-up rungs: name → share of right answers."""
    labels = ("bark", "horn")
    tables = {}
    for name, share in shares.items():
        truth = np.arange(600) % 2
        right = np.random.default_rng(0).permutation(600) < share * 600
        clips = pd.DataFrame({
            "path": [f"/{i}.wav" for i in range(600)], "label": [labels[k] for k in truth], "fold": "1",
            "group": [str(i // 2) for i in range(600)],
        })  # fmt: skip
        answer = np.where(right, truth, 1 - truth)
        tables[name] = predictions_table(clips, labels, np.eye(2)[answer])
    names = list(tables)
    pairs = [
        compare_predictions(tables[a], tables[b], names=(a, b)) for i, a in enumerate(names) for b in names[i + 1 :]
    ]
    return names, correct_for_many(pairs)


@pytest.mark.parametrize(
    ("shares", "best", "sentence"),
    [
        ({"a": 0.3, "b": 0.6, "c": 0.605}, "b", "dear beats cheap up to b: .* beyond chance \\(c \\+0.5 points, p = "),
        ({"a": 0.3, "b": 0.6, "c": 0.8}, "c", "dear beats cheap: every rung below c, the dearest, is beaten"),
        ({"a": 0.6, "b": 0.5, "c": 0.605}, "a", "dear does not beat cheap: no dearer rung beats a beyond chance"),
        ({"a": 0.4, "b": 0.3, "c": 0.8}, "c", "dear beats cheap"),
    ],
)
def test_verdict_names_the_cheapest_that_nothing_dearer_beats(
    shares: dict[str, float], best: str, sentence: str
) -> None:
    names, comparisons = answered(shares)
    assert cheapest_unbeaten(names, comparisons) == best
    assert re.match(sentence, verdict(names, comparisons))


def test_every_rung_is_there_for_the_real_thing() -> None:
    assert {"mfcc", "tutorial", "probe"} <= set(preset_names())
    assert load_recipe("mfcc").model.pool == "mean_std"


def test_pooling_does_not_care_when_a_sound_is_heard() -> None:
    features = torch.randn(3, 2, 5, 40, generator=torch.Generator().manual_seed(0))
    network = LinearNet((2, 5, 40), 4, "mean_std")
    pooled = network.pooled(features).numpy()
    plain = features.numpy().reshape(3, 10, 40)
    np.testing.assert_allclose(pooled, np.concatenate([plain.mean(-1), plain.std(-1)], axis=1), atol=1e-6)
    torch.testing.assert_close(network(features), network(features.roll(13, dims=-1)))


def test_pooled_head_is_a_regression_on_standardised_values(climbed: LadderResult, small_data: Path) -> None:
    recipe = load_recipe(Path(climbed.rungs[1].out) / "recipe.yaml")
    clips = read_clips(small_data)
    store = open_store(clips, recipe.sound, cache=Path(climbed.out).parent / "cache")
    kept = open_feature_cache(build_feature_cache(store, recipe))
    train = (clips.table["fold"] != "1").to_numpy()
    features = kept.gather(np.arange(len(clips)))
    mean, std = (value[:, None] for value in kept.statistics(np.flatnonzero(train), per_band=True))
    pictures = (features.double() - torch.from_numpy(mean)) / torch.from_numpy(std)
    values = LinearNet((2, 8, kept.shape[2]), 2, "mean_std").pooled(with_deltas(pictures, 1)).numpy()
    values = (values - values[train].mean(axis=0)) / values[train].std(axis=0)
    found = LogisticRegression(C=0.01, max_iter=1000).fit(values[train], clips.class_ids()[train])
    told = read_predictions(Path(climbed.rungs[1].out) / "fold1" / "predictions.parquet")
    np.testing.assert_allclose(told["p:low"], found.predict_proba(values[~train])[:, 1], atol=0.01)
    model = soundfold.load(Path(climbed.rungs[1].out) / "fold1")
    assert model.predict(told["path"].iloc[0]).probabilities["low"] == pytest.approx(told["p:low"].iloc[0], abs=1e-3)


@pytest.mark.parametrize("preset", ["tutorial", "probe"])
def test_pooling_where_it_means_nothing_is_refused(preset: str) -> None:
    with pytest.raises(RecipeError, match="model.pool must be none unless model.name is linear and features.kind has"):
        load_recipe(preset, ["model.pool=mean_std"])


@pytest.mark.parametrize("epochs", [0, -3])
def test_epochs_below_one_are_refused_where_no_rung_learns_in_any(
    small_data: Path, tmp_path: Path, epochs: int
) -> None:
    with pytest.raises(RecipeError, match=f"--epochs must be at least 1, got {epochs}"):
        soundfold.ladder(small_data, only=["mfcc"], epochs=epochs, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
