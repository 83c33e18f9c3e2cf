"""A frozen network with a linear head: fitted in one go, kept embeddings, one model file; weights by chance here."""

import math
import os
from pathlib import Path

import numpy as np
import onnx
import pytest
import soundfile
import torch
from onnx import numpy_helper
from safetensors.torch import save_file
from sklearn.linear_model import LogisticRegression

import soundfold
from conftest import RATE, SMALL, tone
from soundfold.data import open_store, read_clips
from soundfold.errors import ModelFileError, PathError, RecipeError
from soundfold.evaluation import CvResult, read_predictions
from soundfold.export.kept_graphs import kept_graph
from soundfold.jobs.weighting import clip_weights
from soundfold.models import Embedding, build_classifier, build_efficientat
from soundfold.recipe import load_recipe
from soundfold.training import build_feature_cache, open_feature_cache

SHORT = ("sound.length_s=0.5",)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "chance.safetensors"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        save_file(build_efficientat("mn04").state_dict(), path)
    return path


@pytest.fixture(scope="module")
def changes(weights: Path) -> list[str]:
    return [*SHORT, f"features.weights={weights}"]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all tests: the pretrained part takes long to export, and is the same for all of them."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def learned(small_data: Path, changes: list[str], cache: Path, tmp_path_factory: pytest.TempPathFactory) -> CvResult:
    return run_cv(small_data, changes, cache, tmp_path_factory.mktemp("learned") / "run")


def run_cv(small_data: Path, changes: list[str], cache: Path, out: Path) -> CvResult:
    return soundfold.cross_validate(small_data, recipe="probe", changes=changes, out=out, cache=cache)


def test_learns_what_a_frozen_network_can_tell(learned: CvResult) -> None:
    assert learned.accuracy_mean > 0.9
    fold = Path(learned.out or "") / "fold1"
    model = soundfold.load(fold)
    predictions = read_predictions(fold / "predictions.parquet")
    assert model.card.recipe["features"]["weights"] is None  # a path of this computer
    told = model.predict(predictions["path"].iloc[0])
    assert told.probabilities["low"] == pytest.approx(predictions["p:low"].iloc[0], abs=1e-3)


def test_a_second_run_embeds_nothing_and_exports_nothing(
    small_data: Path,
    changes: list[str],
    cache: Path,
    learned: CvResult,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("done again")

    monkeypatch.setattr("soundfold.training.feature_cache._compute", refuse)
    monkeypatch.setattr("torch.onnx.export", refuse)
    second = run_cv(small_data, changes, cache, tmp_path / "run")
    assert second.accuracy_mean == learned.accuracy_mean
    for fold in (1, 2, 3):
        runs = (Path(learned.out or ""), tmp_path / "run")
        files = [(run / f"fold{fold}" / "weights.safetensors").read_bytes() for run in runs]
        assert files[0] == files[1]


@pytest.mark.usefixtures("learned")
@pytest.mark.long
def test_a_kept_front_end_that_is_damaged_is_made_again(
    small_data: Path, changes: list[str], cache: Path, tmp_path: Path
) -> None:
    kept = next(cache.rglob("front-end-*.onnx"))
    whole = kept.read_bytes()
    for damage in (b"", b"no graph", whole[: len(whole) // 2]):
        kept.write_bytes(damage)
        assert kept_graph(kept) is None  # as if there were none
    kept.write_bytes(whole)
    wrong = onnx.load(kept)  # whole in its form, so that only the proof of parity can find it out
    largest = max(wrong.graph.initializer, key=lambda entry: math.prod(entry.dims))
    largest.CopyFrom(numpy_helper.from_array(np.zeros(largest.dims, np.float32), largest.name))
    onnx.save(wrong, kept)
    assert kept_graph(kept) is not None
    soundfold.train(small_data, recipe="probe", changes=changes, out=tmp_path / "run", cache=cache)
    assert kept.read_bytes() == whole


def test_other_weights_are_other_features(small_data: Path, weights: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.safetensors"
    save_file({name: value * 2 for name, value in build_efficientat("mn04").state_dict().items()}, other)
    recipe = load_recipe("probe", SHORT)
    store = open_store(read_clips(small_data), recipe.sound, cache=tmp_path / "cache")
    folders = {build_feature_cache(store, recipe, weights=path) for path in (weights, other)}
    assert len(folders) == 2
    assert build_feature_cache(store, recipe, weights=weights) in folders


def test_three_views_are_taken_from_four_that_are_kept_and_the_network_is_not_asked(
    small_data: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    three, four = (load_recipe("probe", [*SHORT, f"features.views={views}"]) for views in (3, 4))
    stores = [open_store(read_clips(small_data), three.sound, cache=tmp_path / name) for name in ("a", "b")]
    asked = build_feature_cache(stores[0], three, weights=weights)
    whole = build_feature_cache(stores[1], four, weights=weights)
    monkeypatch.setattr(Embedding, "forward", lambda *_: pytest.fail("the network was asked"))
    cut = build_feature_cache(stores[1], three, weights=weights)
    assert cut != whole
    assert (cut / "values.bin").read_bytes() == (asked / "values.bin").read_bytes()
    one, other = open_feature_cache(cut), open_feature_cache(asked)
    assert one.shape == other.shape
    rows = np.arange(len(one))
    for found, expected in zip(one.statistics(rows, per_band=True), other.statistics(rows, per_band=True), strict=True):
        np.testing.assert_array_equal(found, expected)
    for name in ("clip", "before", "after", "weight"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_the_head_is_the_mean_of_a_regression_a_view(
    small_data: Path, changes: list[str], cache: Path, tmp_path: Path
) -> None:
    soundfold.train(
        small_data, recipe="probe", changes=[*changes, "weighting=none", "head_fit=logistic"], test_fold=3,
        out=tmp_path / "run", cache=cache,
    )  # fmt: skip
    recipe = load_recipe(tmp_path / "run" / "recipe.yaml")
    clips = read_clips(small_data)
    store = open_store(clips, recipe.sound, cache=cache)
    kept = open_feature_cache(build_feature_cache(store, recipe, weights=Path(recipe.features.weights or "")))
    values = kept.gather(np.arange(len(clips))).flatten(1).numpy()
    train = (clips.table["fold"] != "3").to_numpy()
    values = (values - values[train].mean(axis=0)) / np.maximum(values[train].std(axis=0), 1e-12)
    logits = np.zeros(len(clips))
    views = Embedding("mn04", recipe.features.views).views
    assert len(views) == 4
    for start, stop in views:
        found = LogisticRegression(C=0.01, max_iter=1000).fit(values[train, start:stop], clips.class_ids()[train])
        logits += found.decision_function(values[:, start:stop]) / len(views)
    told = read_predictions(tmp_path / "run" / "predictions.parquet")["p:low"].to_numpy()
    expected = 1 / (1 + np.exp(-logits[~train]))
    np.testing.assert_allclose(told, expected, atol=0.01)


def test_recordings_cut_into_many_clips_do_not_rule(tmp_path: Path) -> None:
    lines = ["path,label,group"]
    for label, group, clips in (("a", "r1", 16), ("a", "r2", 1), ("b", "r3", 4)):
        for number in range(clips):
            name = f"{group}-{number}.wav"
            soundfile.write(tmp_path / name, tone(440, 0.1, number), RATE)
            lines.append(f"{name},{label},{group}")
    (tmp_path / "clips.csv").write_text("\n".join(lines))
    clips = read_clips(tmp_path / "clips.csv")
    train = np.arange(len(clips))
    weight = clip_weights(clips, train, "recordings")
    labels, groups = clips.table["label"].to_numpy(), clips.table["group"].astype(str).to_numpy()
    assert weight.mean() == pytest.approx(1.0)
    assert weight[labels == "a"].sum() == pytest.approx(weight[labels == "b"].sum())
    share = [weight[[name.endswith(group) for name in groups]].sum() for group in ("r1", "r2")]
    assert share[0] == pytest.approx(4 * share[1])  # √16, not 16
    assert (clip_weights(clips, train, "none") == 1).all()
    plain = clip_weights(clips, train, "classes")
    assert plain[labels == "a"].sum() == pytest.approx(plain[labels == "b"].sum())
    assert len(set(plain[labels == "a"])) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["features.kind=log_mel", "model.name=linear"], "training.optimizer must be lbfgs with model.name = linear"),
        (["features.kind=embedding"], "model.name must be linear with features.kind = embedding"),
    ],
)
def test_settings_that_do_not_go_together_are_told(changes: list[str], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        load_recipe("tutorial", changes)


@pytest.mark.parametrize("kind", ["log_mel", "mfcc", "pcen"])
def test_a_regression_takes_any_features(kind: str, small_data: Path, tmp_path: Path) -> None:
    unvaried = ["place=centre", "time_shift=0", "frequency_masks=0", "time_masks=0"]
    changes = [*SMALL[:6], *unvaried, "model.name=linear", "optimizer=lbfgs", f"features.kind={kind}", "n_mfcc=13"]
    result = soundfold.train(
        small_data, recipe="tutorial", changes=changes, test_fold=3, out=tmp_path / "run", cache=tmp_path / "cache"
    )
    assert result.accuracy is not None


def test_a_rate_that_the_network_was_not_trained_at_is_told_before_anything_is_heard() -> None:
    with pytest.raises(RecipeError, match="must be 32000 Hz and one channel with features.kind = embedding, got 16000"):
        load_recipe("probe", ["sample_rate=16000"])


def test_weights_that_are_not_there_or_not_weights_are_told(small_data: Path, tmp_path: Path) -> None:
    with pytest.raises(PathError, match="must be a file of weights or a folder with mn04_as_mAP_432.pt in it"):
        soundfold.train(small_data, recipe="probe", changes=[f"features.weights={tmp_path / 'none'}"])
    (tmp_path / "text.pt").write_text("no weights")
    with pytest.raises(ModelFileError, match=r"text\.pt: is no file of weights"):
        soundfold.train(small_data, recipe="probe", changes=[f"features.weights={tmp_path / 'text.pt'}"])


def test_building_a_classifier_for_an_embedding_keeps_it_frozen(weights: Path) -> None:
    classifier = build_classifier(load_recipe("probe", SHORT), 3, 0, weights)
    classifier.train()
    assert not any(module.training for module in classifier.features.modules())
    assert [name for name, value in classifier.named_parameters() if value.requires_grad] == [
        "network.head.weight",
        "network.head.bias",
    ]


@pytest.mark.real
@pytest.mark.long
def test_real_recordings_are_told_far_better_than_by_the_tutorial(real_data: Path, tmp_path: Path) -> None:
    if not os.environ.get("SOUNDFOLD_WEIGHTS"):
        pytest.skip("SOUNDFOLD_WEIGHTS does not point at real weights")
    result = soundfold.cross_validate(
        real_data, recipe="probe", folds=[1], out=tmp_path / "run", cache=tmp_path / "cache"
    )
    assert result.accuracy_mean > 0.72  # 78 on this fold
