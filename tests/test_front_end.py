"""The front end in numpy: what torch's gives, for every kind and any sound, and the same answers from the file."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from soundfold.errors import ModelFileError
from soundfold.export import export_model
from soundfold.export.ensemble import export_ensemble
from soundfold.export.front_end import describe
from soundfold.export.parity import awkward_windows
from soundfold.models import build_classifier
from soundfold.recipe import Recipe, load_recipe
from soundfold.runtime import FORMAT_VERSION, ModelCard, load
from soundfold.runtime.front_end import FrontEnd
from soundfold.runtime.front_end_card import FRONT_END_KEY, FrontEndCard, read_front_end_card
from soundfold.runtime.graph_cut import FRONT_END, metadata, without_front_end
from soundfold.runtime.seal import SEAL_KEY

SMALL = ("sample_rate=8000", "channels=1", "length_s=0.5", "n_fft=256", "hop_length=100", "n_mels=16")

KINDS = {
    "htk, dB": (),
    "slaney, dB": ("mel_scale=slaney", "mel_norm=slaney", "fmin_hz=50"),
    "kaldi, log": ("mel_scale=kaldi", "scale=log", "top_db=60"),
    "level clip": ("level=clip", "top_db=100"),
    "short window": ("win_length=150",),
    "odd lengths": ("n_fft=255", "win_length=151", "hop_length=77"),
    "bands between bins": ("n_mels=120",),
    "mfcc": ("kind=mfcc", "n_mfcc=13"),
    "mfcc of logarithms": ("kind=mfcc", "n_mfcc=13", "scale=log"),
    "pcen": ("kind=pcen",),
    "pcen without memory": ("kind=pcen", "pcen_time_s=0.001"),
    "stereo": ("channels=2",),
    "stereo, pcen": ("channels=2", "kind=pcen"),
    "deltas": ("deltas=2",),
    "44,100 Hz": ("sample_rate=44100", "n_fft=1024", "hop_length=512", "length_s=0.3"),
    "192,000 Hz": ("sample_rate=192000", "n_fft=4096", "hop_length=1024", "length_s=0.1"),
}


def recipe_of(kind: str) -> Recipe:
    if kind == "audioset":
        return load_recipe("finetune", ["length_s=0.5", "model.kept_blocks=0", "model.start=random"])
    return load_recipe("tutorial", [*SMALL, *KINDS[kind]])


def quickly_exported(kind: str) -> Recipe:
    """Return the recipe with a linear layer for a network, the graph of which costs no export."""
    return load_recipe("probe", ["kind=log_mel", *SMALL, *KINDS[kind]])


def sounds(recipe: Recipe) -> np.ndarray:
    """Silence, clipped noise, a burst of 0.05 s, a faint tone, an offset; one channel loud, one silent; both alike."""
    channels, window = recipe.sound.channels, recipe.sound.window
    awkward = awkward_windows(channels, window, recipe.sound.sample_rate)
    more = np.random.default_rng(1).normal(0, 0.1, (2, channels, window)).astype(np.float32)
    more[0, 1:] = 0
    more[1, 1:] = more[1, :1]
    return np.concatenate([awkward, more])


def card_of(recipe: Recipe) -> ModelCard:
    sound = recipe.sound
    return ModelCard(
        format_version=FORMAT_VERSION, soundfold_version="0", labels=("a", "b", "c"), sample_rate=sound.sample_rate,
        channels=sound.channels, downmix=sound.downmix, window=sound.window, recipe=recipe.as_dict(),
    )  # fmt: skip


@pytest.mark.parametrize("kind", [*KINDS, "audioset"])
def test_numpy_gives_what_torch_gives(kind: str) -> None:
    recipe = recipe_of(kind)
    classifier = build_classifier(recipe, 3, 0).eval()
    described = describe(classifier)
    assert described is not None
    card = read_front_end_card(described.model_dump_json(), "m.onnx")
    assert card is not None
    front_end = FrontEnd(card, recipe.sound.window, "m.onnx")
    batch = sounds(recipe)
    with torch.inference_mode():
        expected = classifier.features(torch.from_numpy(batch)).numpy()
    features = front_end(batch)
    assert (features.shape, features.dtype) == (expected.shape, np.float32)
    # decibels and sums of them reach from -100 to 60, all else from -10 to 10
    np.testing.assert_allclose(features, expected, rtol=0, atol=1e-3 if np.ptp(expected) > 100 else 5e-5)
    assert np.median(np.abs(features - expected)) < 1e-5
    np.testing.assert_array_equal(front_end(batch[2:3]), features[2:3], "a clip's neighbours must not matter")


@pytest.mark.parametrize("kind", ["level clip", "mfcc", "stereo, pcen"])
def test_the_file_answers_alike_by_both_ways(kind: str, tmp_path: Path) -> None:
    recipe = quickly_exported(kind)
    classifier = build_classifier(recipe, 3, 0).eval()
    classifier.standardise.set_statistics(*np.multiply([[-30.0], [20.0]], np.ones(classifier.standardise.mean.numel())))
    path = tmp_path / "model.onnx"
    export_model(classifier, recipe, card_of(recipe), path)
    batch = sounds(recipe)
    with torch.inference_mode():
        expected = classifier(torch.from_numpy(batch)).softmax(dim=-1).numpy()
    for portable in (False, True):
        np.testing.assert_allclose(load(path, portable=portable).probabilities(batch), expected, rtol=0, atol=1e-4)


@pytest.fixture(scope="module")
def small_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    recipe = quickly_exported("htk, dB")
    path = tmp_path_factory.mktemp("front") / "model.onnx"
    export_model(build_classifier(recipe, 3, 0).eval(), recipe, card_of(recipe), path)
    return path


def changed(path: Path, to: Path, text: str | None, name: str = "features") -> Path:
    """Write a model file with another card of its front end, or none, and another name for what lies between."""
    model = onnx.load(path)
    kept = [entry for entry in model.metadata_props if entry.key not in (FRONT_END_KEY, SEAL_KEY)]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    if text is not None:
        model.metadata_props.append(onnx.StringStringEntryProto(key=FRONT_END_KEY, value=text))
    for entry in model.graph.value_info:
        entry.name = name if entry.name == "features" else entry.name
    onnx.save(model, to)
    return to


def test_the_cut_graph_is_a_sound_one_without_the_front_end(small_file: Path) -> None:
    whole, cut = onnx.load(small_file), onnx.load_from_string(without_front_end(small_file.read_bytes()))
    onnx.checker.check_model(cut, full_check=True)
    assert [entry.name for entry in cut.graph.input] == ["features"]
    assert 0 < len(cut.graph.node) < len(whole.graph.node)
    assert cut.metadata_props == whole.metadata_props
    assert metadata(small_file.read_bytes()) == {entry.key: entry.value for entry in whole.metadata_props}


@pytest.mark.parametrize("text", [None, json.dumps({"version": 2, "kind": "of tomorrow"})])
def test_without_a_card_that_it_knows_the_graph_serves(small_file: Path, tmp_path: Path, text: str | None) -> None:
    other = load(changed(small_file, tmp_path / "other.onnx", text))
    batch = sounds(recipe_of("htk, dB"))
    np.testing.assert_array_equal(other.probabilities(batch), load(small_file, portable=True).probabilities(batch))
    assert np.abs(other.probabilities(batch) - load(small_file).probabilities(batch)).max() <= 1e-4


def fields_of(path: Path, **changes: object) -> str:
    return json.dumps(json.loads(metadata(path.read_bytes())[FRONT_END_KEY]) | changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": "one"}, "the card of its front end is damaged"),
        ({"n_fft": 10**9}, "the card of its front end is damaged"),
        ({"hop_length": 0}, "the card of its front end is damaged"),
        ({"scale": {"kind": "loudness"}}, "the card of its front end is damaged"),
        ({"window": "AAAA"}, "the numbers of its front end are damaged"),
        ({"window": "AADAfw=="}, "must be finite|are damaged|do not fit"),
        ({"widths": [1]}, "do not fit each other"),
        ({"first_bins": [-5] * 16}, "do not fit each other"),
        ({"dct": "AAAAAA=="}, "do not fit each other"),
        ({"hop_length": 50}, r"its input must be \(batch, 1, 16, 81\) as its card says"),
    ],
)
def test_a_damaged_card_is_told(small_file: Path, tmp_path: Path, changes: dict[str, object], message: str) -> None:
    path = changed(small_file, tmp_path / "m.onnx", fields_of(small_file, **changes))
    with pytest.raises(ModelFileError, match=message):
        load(path)


def test_a_window_too_short_for_its_frames_is_told(small_file: Path) -> None:
    card = read_front_end_card(metadata(small_file.read_bytes())[FRONT_END_KEY], "m.onnx")
    assert isinstance(card, FrontEndCard)
    with pytest.raises(ModelFileError, match=r"m\.onnx: its front end must take more than 128 samples, got 128"):
        FrontEnd(card, 128, "m.onnx")


def test_no_bytes_crash_the_cut(small_file: Path, tmp_path: Path) -> None:
    whole = small_file.read_bytes()
    generator = np.random.default_rng(0)
    for size in generator.integers(0, len(whole), 60):
        (tmp_path / "part.onnx").write_bytes(whole[:size])
        with pytest.raises(ModelFileError):
            load(tmp_path / "part.onnx")
    for at in generator.integers(0, len(whole), 300):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << int(generator.integers(8))
        for read in (metadata, without_front_end):
            try:
                read(bytes(damaged))
            except ValueError:
                continue


def test_samples_too_large_are_no_numbers_and_no_warnings(small_file: Path) -> None:
    loud = np.full((1, 1, 4_000), 1e30, dtype=np.float32)
    loud[..., ::2] *= -1
    assert not np.isfinite(load(small_file).probabilities(loud)).all()


def test_absurd_filters_give_no_numbers_and_no_warnings(small_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = read_front_end_card(metadata(small_file.read_bytes())[FRONT_END_KEY], "x")
    assert card is not None
    window, filters, dct = card.arrays("x")
    monkeypatch.setattr(FrontEndCard, "arrays", lambda *_: (window, np.full_like(filters, 3e38), dct))
    features = FrontEnd(card, 4_000, "x")(np.ones((1, 1, 4_000), np.float32))
    assert not np.isfinite(features).all()


def test_several_networks_in_one_file_share_a_front_end_that_can_be_left_out(tmp_path: Path) -> None:
    recipe = quickly_exported("htk, dB")
    classifiers = [build_classifier(recipe, 3, seed).eval() for seed in (0, 1)]
    files = [tmp_path / "0.onnx", tmp_path / "1.onnx"]
    for classifier, file in zip(classifiers, files, strict=True):
        classifier.standardise.set_statistics(-30.0, 20.0)
        export_model(classifier, recipe, card_of(recipe), file)
    joint = tmp_path / "joint.onnx"
    assert export_ensemble(classifiers, files, card_of(recipe), joint) <= 1e-4
    names = [node.name for node in onnx.load(joint).graph.node if node.name.startswith(FRONT_END)]
    assert names == [node.name for node in onnx.load(files[0]).graph.node if node.name.startswith(FRONT_END)]
    batch = sounds(recipe)
    expected = np.mean([load(file).probabilities(batch) for file in files], axis=0)
    np.testing.assert_allclose(load(joint).probabilities(batch), expected, atol=1e-6)
    onnx.checker.check_model(onnx.load_from_string(without_front_end(joint.read_bytes())), full_check=True)


def test_the_two_ways_are_two(small_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = sounds(recipe_of("htk, dB"))
    quick, portable = load(small_file), load(small_file, portable=True)
    expected = portable.probabilities(batch)
    monkeypatch.setattr(FrontEnd, "__call__", lambda self, batch: np.zeros((len(batch), 1, *self.shape), np.float32))
    np.testing.assert_array_equal(portable.probabilities(batch), expected)
    assert np.abs(quick.probabilities(batch) - expected).max() > 1e-3
