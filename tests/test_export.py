"""Export: one file that answers as torch does, or no file at all."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from safetensors.torch import load_file

import soundfold
from conftest import write_folders
from soundfold.errors import ModelFileError
from soundfold.export import PARITY_BOUND, export_model, largest_difference, probe_windows
from soundfold.export.parity import awkward_windows
from soundfold.models import Classifier, build_classifier
from soundfold.recipe import Recipe, load_recipe
from soundfold.runtime import CARD_KEY, FORMAT_VERSION, ModelCard, load


def card_of(recipe: Recipe, labels: tuple[str, ...] = ("café", "street music", "犬")) -> ModelCard:
    return ModelCard(
        format_version=FORMAT_VERSION,
        soundfold_version="0",
        labels=labels,
        sample_rate=recipe.sound.sample_rate,
        channels=recipe.sound.channels,
        downmix=recipe.sound.downmix,
        window=recipe.sound.window,
        recipe=recipe.as_dict(),
    )


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Classifier, Path]:
    recipe = load_recipe("tutorial")
    classifier = build_classifier(recipe, 3, 0)
    classifier.standardise.set_statistics(-40.0, 20.0)
    classifier.train()
    for _ in range(3):  # so that batch statistics are no longer the identity
        classifier.classify(torch.randn(4, 2, 64, 345) * 20 - 40)
    classifier.eval()
    path = tmp_path_factory.mktemp("export") / "model.onnx"
    export_model(classifier, recipe, card_of(recipe), path)
    return classifier, path


def sounds() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    window = Recipe().sound.window
    time_s = np.arange(window) / 44_100
    speechlike = np.sin(2 * np.pi * 220 * time_s) * np.abs(np.sin(2 * np.pi * 3 * time_s)) * 0.4
    short = np.zeros(window)
    short[window // 2 : window // 2 + 2205] = generator.normal(0, 0.3, 2205)
    return {
        "tonal": np.stack([speechlike, 0.5 * speechlike]),
        "silent": np.zeros((2, window)),
        "clipped": np.clip(generator.normal(0, 3, (2, window)), -1, 1),
        "0.05 s": np.stack([short, short]),
        "one channel silent": np.stack([speechlike, np.zeros(window)]),
        "very quiet": 1e-6 * generator.normal(0, 1, (2, window)),
    }


@pytest.mark.parametrize("name", list(sounds()))
def test_model_file_answers_as_torch(exported: tuple[Classifier, Path], name: str) -> None:
    classifier, path = exported
    batch = sounds()[name][None].astype(np.float32)
    with torch.inference_mode():
        expected = classifier(torch.from_numpy(batch)).softmax(dim=-1).numpy()
    np.testing.assert_allclose(load(path).probabilities(batch), expected, rtol=0, atol=PARITY_BOUND)


def test_real_clips_are_answered_as_by_torch(exported: tuple[Classifier, Path], real_data: Path) -> None:
    from soundfold.audio import fit_length
    from soundfold.audio import load as load_sound

    classifier, path = exported
    files = sorted(real_data.glob("audio/fold1/*.wav"))[::40]
    window = Recipe().sound.window
    batch = np.stack([fit_length(load_sound(file, 44_100, 2), window) for file in files])
    assert largest_difference(classifier, path, batch) <= PARITY_BOUND


def test_batch_size_is_free_and_does_not_matter(exported: tuple[Classifier, Path]) -> None:
    _, path = exported
    model = load(path)
    batch = np.stack(list(sounds().values())).astype(np.float32)
    together = model.probabilities(batch)
    np.testing.assert_allclose(together, np.concatenate([model.probabilities(row[None]) for row in batch]), atol=1e-5)
    np.testing.assert_allclose(together.sum(axis=1), 1.0, atol=1e-5)


def test_file_is_one_small_standard_graph_with_its_card(exported: tuple[Classifier, Path]) -> None:
    _, path = exported
    graph = onnx.load(path, load_external_data=False)
    onnx.checker.check_model(graph)
    assert [entry.name for entry in graph.graph.input] == ["waveform"]
    assert [entry.name for entry in graph.graph.output] == ["probabilities"]
    assert {entry.domain for entry in graph.opset_import} <= {""}
    assert not any(tensor.HasField("data_location") and tensor.data_location for tensor in graph.graph.initializer)
    assert CARD_KEY in {entry.key for entry in graph.metadata_props}
    assert path.stat().st_size < 500_000
    assert load(path).labels == ("café", "street music", "犬")
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    # nothing of the machine that wrote it
    assert str(Path.home()).encode() not in path.read_bytes()
    assert str(Path(__file__).parents[1]).encode() not in path.read_bytes()


def test_a_file_that_would_answer_otherwise_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = load_recipe("tutorial", ["sample_rate=8000", "channels=1", "length_s=0.5", "n_fft=256", "hop_length=128"])
    classifier = build_classifier(recipe, 3, 0)
    monkeypatch.setattr("soundfold.export.onnx_file.largest_difference", lambda *_: 0.2)
    with pytest.raises(ModelFileError, match=r"must answer as torch does within 0\.0001, got 0\.2"):
        export_model(classifier, recipe, card_of(recipe), tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "changes", [("n_fft=1000", "hop_length=441"), ("win_length=800", "hop_length=320", "top_db=100")]
)
def test_other_front_ends_export_too(tmp_path: Path, changes: tuple[str, ...]) -> None:
    recipe = load_recipe("tutorial", ["sample_rate=16000", "channels=1", "length_s=1", *changes])
    classifier = build_classifier(recipe, 3, 0).eval()
    assert export_model(classifier, recipe, card_of(recipe), tmp_path / "m.onnx") <= PARITY_BOUND


SMALL_ONES = ("sample_rate=16000", "channels=1", "length_s=0.5")


def test_a_kept_graph_filled_with_other_weights_answers_as_torch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = load_recipe("scratch", [*SMALL_ONES, "model.width=4", "fmax_hz=8000"])
    answers = []
    sound = np.random.default_rng(0).normal(0, 0.2, (2, 1, 8_000)).astype(np.float32)
    for seed in (0, 1):
        classifier = build_classifier(recipe, 3, seed)
        with torch.no_grad():
            for value in classifier.state_dict().values():
                if value.is_floating_point():  # also of what begins at zero and one
                    value.add_(0.1 * torch.rand(value.shape, generator=torch.Generator().manual_seed(seed)))
        export_model(classifier.eval(), recipe, card_of(recipe), tmp_path / "m.onnx", kept=tmp_path)
        answers.append(load(tmp_path / "m.onnx").probabilities(sound))  # which the export held against torch's
        monkeypatch.setattr("torch.onnx.export", None)
    assert np.abs(answers[0] - answers[1]).max() > 1e-3


@pytest.mark.parametrize(("window", "rate"), [(1, 8_000), (640, 16_000), (799, 16_000), (800, 16_000), (2_205, 44_100)])
def test_awkward_windows_of_any_length(window: int, rate: int) -> None:
    batch = awkward_windows(2, window, rate)
    assert (batch.shape, batch.dtype) == ((5, 2, window), np.float32)
    assert np.abs(batch[1:]).max(axis=(1, 2)).astype(bool).tolist()[1:] == [True, window > 1, True]
    assert np.count_nonzero(batch[2, 0]) == min(window, round(0.05 * rate))


def test_a_window_shorter_than_the_burst_trains_and_exports(tmp_path: Path) -> None:
    changes = (
        "sound.sample_rate=16000", "sound.channels=1", "sound.length_s=0.04", "features.n_fft=512", "training.epochs=1",
    )  # fmt: skip
    data = write_folders(tmp_path / "sounds", clips=2, seconds=0.1)
    soundfold.train(
        data, recipe="tutorial", changes=changes, test_fold=3, out=tmp_path / "run", cache=tmp_path / "cache"
    )
    assert load(tmp_path / "run").card.window == 640


def test_weights_are_all_there_is_to_learn(small_run: Path) -> None:
    weights = load_file(small_run / "weights.safetensors")
    recipe = load_recipe(small_run / "recipe.yaml")
    classifier = build_classifier(recipe, 2, seed=99)
    classifier.load_state_dict(weights)
    batch = np.random.default_rng(0).normal(0, 0.1, (3, 1, recipe.sound.window)).astype(np.float32)
    assert largest_difference(classifier, small_run / "model.onnx", batch) <= PARITY_BOUND


def test_probe_windows_double_mono() -> None:
    probes = probe_windows([np.ones((1, 5), np.float32), np.zeros((2, 5), np.float32)], 2)
    assert probes.shape == (2, 2, 5)
