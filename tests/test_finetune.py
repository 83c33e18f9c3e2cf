"""Pretrained networks that learn on: begun at the probe, blocks kept as published, one export for all folds."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import soundfold
from chance_weights import write_chance_weights
from soundfold.augment.decibels import per_db
from soundfold.augment.equaliser import add_level
from soundfold.data import open_store, read_clips
from soundfold.errors import ModelFileError, PathError, RecipeError
from soundfold.evaluation import read_predictions
from soundfold.export.refill import fold_batch_norm
from soundfold.features.audioset_mel import audioset_mel
from soundfold.jobs.weighting import clip_weights
from soundfold.models import Classifier, EfficientAT, ProbedNetwork, build_classifier
from soundfold.recipe import Recipe, load_recipe
from soundfold.training import FitJob, Hardware, build_feature_cache, fit, open_feature_cache
from soundfold.training.stages import freeze_stages

SOUND = ("sample_rate=32000", "channels=1", "length_s=0.5", "precision=32-true")
AUDIOSET = (*SOUND, "features.kind=audioset", "model.name=mn04")
QUIET = ("time_shift=0", "place=centre", "frequency_masks=0", "time_masks=0")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_chance_weights(tmp_path_factory.mktemp("weights") / "chance.safetensors")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def job_of(recipe: Recipe, data: Path, cache: Path, weights: Path, folder: Path) -> FitJob:
    clips = read_clips(data)
    features = build_feature_cache(open_store(clips, recipe.sound, cache=cache), recipe, weights=weights)
    train = np.flatnonzero((clips.table["fold"] != "3").to_numpy())
    held_out = np.setdiff1d(np.arange(len(clips)), train)
    labels = clips.class_ids()
    folder.mkdir()
    return FitJob(
        recipe, 2, features, train, labels[train], held_out, labels[held_out], folder,
        clip_weights(clips, train, recipe.training.weighting), weights,
    )  # fmt: skip


def answers(job: FitJob) -> np.ndarray:
    """Return the probabilities of all clips that a training ends with."""
    state = fit(job, Hardware("cpu"), lambda _: None).state
    classifier = build_classifier(job.recipe, job.n_labels, 0)
    classifier.load_state_dict(state)
    classifier.eval()
    kept = open_feature_cache(job.features)
    with torch.inference_mode():
        return classifier.classify(kept.gather(np.arange(len(kept.clip)))).softmax(dim=1).numpy()


def test_begins_at_the_answer_of_the_probe(small_data: Path, weights: Path, cache: Path, tmp_path: Path) -> None:
    for views, kept_blocks, fit_ in ((3, (0, 13), "logistic"), (4, (0, 11), "discriminant")):
        probe = load_recipe("probe", ["length_s=0.5", f"views={views}", f"head_fit={fit_}"])
        expected = answers(job_of(probe, small_data, cache, weights, tmp_path / f"probe{views}"))
        assert expected.std() > 0.1
        for blocks in kept_blocks:
            changes = [
                "start=probe",
                f"views={views}",
                f"kept_blocks={blocks}",
                "weighting=recordings",
                f"head_fit={fit_}",
            ]
            recipe = load_recipe("tutorial", [*AUDIOSET, *QUIET, *changes, "epochs=1", "lr=1e-9"])
            found = answers(job_of(recipe, small_data, cache, weights, tmp_path / f"{views}-{blocks}"))
            np.testing.assert_allclose(found, expected, atol=2e-3)


def test_cross_validates_with_one_export_for_all_folds_and_predicts_without_torch(
    small_data: Path, weights: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exports = []
    export: Callable[..., object] = torch.onnx.export

    def count(*arguments: object, **settings: object) -> object:
        exports.append(arguments)
        return export(*arguments, **settings)

    monkeypatch.setattr("torch.onnx.export", count)
    changes = [
        *AUDIOSET,
        "start=probe",
        "kept_blocks=13",
        "epochs=2",
        "lr=1e-5",
        "mix=mixup",
        f"model.weights={weights}",
    ]
    result = soundfold.cross_validate(small_data, recipe="tutorial", changes=changes, out=tmp_path / "run", cache=cache)
    assert result.accuracy_mean > 0.7
    assert len(exports) == 2  # the front end, and what comes after it; neither again for the other folds
    told = []
    for fold in ("fold1", "fold2", "fold3"):
        predictions = read_predictions(tmp_path / "run" / fold / "predictions.parquet")
        model = soundfold.load(tmp_path / "run" / fold)
        told.append(model.predict(predictions["path"].iloc[0]).probabilities["low"])
        assert told[-1] == pytest.approx(predictions["p:low"].iloc[0], abs=0.02)  # maps are kept in 16 bits
    assert len(set(told)) == 3


def test_kept_blocks_and_the_rest_are_the_whole_network(weights: Path) -> None:
    sound = torch.randn(2, 1, 16_000, generator=torch.Generator().manual_seed(0)) * 0.1
    logits = []
    for blocks in (0, 11, 15):
        recipe = load_recipe("tutorial", [*AUDIOSET, "start=probe", f"kept_blocks={blocks}"])
        classifier = build_classifier(recipe, 1, 0, weights).eval()
        assert classifier.features(sound).shape[1:] == classifier.features.shape
        assert isinstance(classifier.network, ProbedNetwork)
        torch.nn.init.constant_(classifier.network.head.weight, 0.01)
        torch.nn.init.zeros_(classifier.network.head.bias)
        with torch.inference_mode():
            logits.append(classifier(sound))
    assert float(logits[0].std()) > 0
    torch.testing.assert_close(logits[1], logits[0])
    torch.testing.assert_close(logits[2], logits[0])


def test_the_preset_lets_the_last_three_blocks_learn_and_the_heads() -> None:
    recipe = load_recipe("finetune")
    network = build_classifier(recipe, 2, 0).network
    assert isinstance(network, ProbedNetwork)
    freeze_stages(network, recipe.training.freeze)
    learning = [any(weight.requires_grad for weight in stage.parameters()) for stage in network.stages()]
    assert learning == [False] * 3 + [True] * 5  # blocks 11 to 13; 14 to 16, AudioSet's head, the linear layer


def test_maps_of_kept_blocks_are_the_same_whatever_is_probed(small_data: Path, weights: Path, cache: Path) -> None:
    folders = set()
    for views in (3, 4):
        recipe = load_recipe("finetune", ["length_s=0.5", f"views={views}"])
        store = open_store(read_clips(small_data), recipe.sound, cache=cache)
        folders.add(build_feature_cache(store, recipe, weights=weights))
    assert len(folders) == 1


def learning_network(weights: Path, *changes: str) -> EfficientAT | ProbedNetwork:
    network = build_classifier(load_recipe("tutorial", [*AUDIOSET, *changes]), 3, 0, weights).network
    assert isinstance(network, EfficientAT | ProbedNetwork)
    return network


@pytest.mark.parametrize("changes", [("start=random",), ("start=probe",), ("start=pretrained", "kept_blocks=12")])
def test_stages_hold_every_parameter_once_from_input_to_head(weights: Path, changes: tuple[str, ...]) -> None:
    network = learning_network(weights, *changes)
    in_stages = [id(parameter) for stage in network.stages() for parameter in stage.parameters()]
    assert in_stages == [id(parameter) for parameter in network.parameters()]


@pytest.mark.parametrize(
    ("changes", "moves"),
    [(["start=pretrained"], False), (["start=pretrained", "batch_statistics=learned"], True), (["start=random"], True)],
)
def test_published_batch_statistics_stay_unless_asked(weights: Path, changes: list[str], moves: bool) -> None:
    network = learning_network(weights, *changes)
    before = {name: value.clone() for name, value in network.named_buffers()}
    network.train()(torch.randn(4, 1, 128, 50))
    same = all(torch.equal(value, before[name]) for name, value in network.named_buffers())
    assert same != moves


def test_gradients_stay_finite_where_an_embedding_is_nothing(weights: Path) -> None:
    network = learning_network(weights, "start=probe")
    last = network.stages()[16]
    torch.nn.init.zeros_(next(iter(last.parameters())))
    torch.nn.init.constant_(list(last.parameters())[2], -5.0)
    network(torch.randn(2, 1, 128, 50)).square().sum().backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in network.parameters() if parameter.grad is not None)


def test_folding_batch_statistics_changes_no_answer(weights: Path) -> None:
    network = learning_network(weights, "start=probe").eval()
    maps = torch.randn(2, 1, 128, 50)
    with torch.inference_mode():
        expected = network(maps)
        torch.testing.assert_close(fold_batch_norm(network)(maps), expected, rtol=1e-3, atol=1e-3)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in network.modules())


def test_features_are_taken_as_they_are(weights: Path) -> None:
    classifier = build_classifier(load_recipe("tutorial", [*AUDIOSET, "start=pretrained"]), 2, 0, weights)
    classifier.standardise.set_statistics(np.array(5.0), np.array(3.0))
    spectrogram = torch.randn(2, 1, 128, 50)
    assert torch.equal(classifier.prepare(spectrogram), spectrogram)


def test_gain_in_the_unit_of_these_features_is_gain_of_the_sound() -> None:
    recipe = load_recipe("tutorial", [*SOUND, "features.kind=audioset", "gain_db=6"])
    sound = torch.randn(2, 1, 16_000, generator=torch.Generator().manual_seed(0))
    level = torch.full((2, 128), 6.0) * per_db(recipe.features.unit)
    before = audioset_mel(sound)
    difference = add_level(before, level, recipe.features.unit) - audioset_mel(sound * 10 ** (6 / 20))
    heard = before > before.amin(dim=(1, 2, 3), keepdim=True) + 0.3  # a clip's floor stays where it is
    assert float(heard.float().mean()) > 0.99
    assert float(difference[heard].abs().max()) < 5e-3


def test_any_network_can_learn_on_these_features() -> None:
    recipe = load_recipe("tutorial", [*SOUND, "features.kind=audioset"])
    assert Classifier(recipe, 4)(torch.zeros(2, 1, 16_000)).shape == (2, 4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["features.kind=audioset"], "sound must be 32000 Hz and one channel with features.kind = audioset, got 44100"),
        ([*SOUND, "model.name=mn04"], "features.kind must be audioset with model.name = mn04, got log_mel"),
        ([*AUDIOSET, "deltas=1"], "features.deltas must be 0 with features.kind = audioset, got 1"),
        (["start=probe"], "model.start must be random with model.name = tutorial, .* got probe"),
        ([*AUDIOSET, "kept_blocks=3"], "model.kept_blocks must be 0 with model.start = random, got 3"),
        (
            [*AUDIOSET, "start=probe", "kept_blocks=3", "gain_db=6"],
            "augment.gain_db must be off with model.kept_blocks = 3",
        ),
        (
            [*AUDIOSET, "start=probe", "kept_blocks=3", "mix=between_class"],
            "augment.mix must be off with model.kept_blocks = 3",
        ),
        (
            [*AUDIOSET, "start=probe", "views=4", "kept_blocks=12"],
            r"model.kept_blocks must be at most 11 with features.views = 4, .* got 12. Say model.kept_blocks=11",
        ),
        ([*AUDIOSET, "model.kept_blocks=16", "start=probe"], "model.kept_blocks must be less than or equal to 15"),
    ],
)
def test_settings_that_do_not_go_together_are_told(changes: list[str], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        load_recipe("tutorial", changes)


def test_weights_that_are_missing_or_of_another_network_are_told(small_data: Path, weights: Path) -> None:
    with pytest.raises(PathError, match="must be a file of weights or a folder with mn04_as_mAP_432.pt in it"):
        soundfold.train(
            small_data, recipe="tutorial", changes=[*AUDIOSET, "start=pretrained", "model.weights=/nowhere"]
        )
    with pytest.raises(ModelFileError, match="does not fit this network"):
        build_classifier(load_recipe("tutorial", [*AUDIOSET, "model.name=mn10", "start=probe"]), 2, 0, weights)
