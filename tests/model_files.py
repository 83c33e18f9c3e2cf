"""A tiny model file for tests, and the same answer in numpy.

The model measures how loud a window is, and answers with the class whose loudness is nearest:

    level         mean absolute value of the window, over samples and channels
    level of k    k * 0.5 / (labels - 1): the first class is silence, the last a mean absolute value of 0.5
    logit of k    -40 * (level - level of k)²

so `tiny_probabilities` tells beforehand what a sound must get: silence is "low", a full-scale sine (level 0.64) "high".
A window that holds less sound than it is long is padded with silence, and is less loud by as much.

`fixtures/tiny.onnx` is what `write_tiny_model` writes with its defaults; it needs onnxruntime alone, `write_tiny_model`
needs the package onnx. After a change of the card or of the graph write it again, from the folder tests:

    PYTHONPATH=../src python -c "import model_files; model_files.write_tiny_model(model_files.TINY_MODEL)"

`fixtures/mel.onnx` is a file as a training writes it: mel spectrogram, linear layer, and the card of its front end. It
stays as it is: files of today must open tomorrow. `write_mel_model` wrote it, with torch.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

TINY_MODEL = Path(__file__).parent / "fixtures" / "tiny.onnx"
MEL_MODEL = TINY_MODEL.with_name("mel.onnx")
LABELS = ("low", "high")
SAMPLE_RATE = 8_000
_LOUDEST = 0.5
_SHARPNESS = 40.0
# Old enough for every onnxruntime that we allow, whatever the version of onnx that writes.
_IR_VERSION, _OPSET = 8, 17


def tiny_probabilities(windows: np.ndarray, labels: int = len(LABELS)) -> np.ndarray:
    """Return what the tiny model answers.

    Args:
        windows: (batch, channels, samples) float32.
        labels: number of classes.

    Returns:
        (batch, labels) float64, rows sum to 1; the model's are equal within 1e-6.
    """
    level = np.abs(windows, dtype=np.float64).mean(axis=(1, 2))[:, np.newaxis]
    logits = -_SHARPNESS * (level - _levels(labels)) ** 2
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return odds / odds.sum(axis=1, keepdims=True)


def write_tiny_model(
    path: Path,
    *,
    labels: Sequence[str] = LABELS,
    sample_rate: int = SAMPLE_RATE,
    channels: int = 1,
    window: int = 8_000,
    card: Mapping[str, object] | None = None,
) -> Path:
    """Write the tiny model, without torch; the same arguments give the same bytes.

    Args:
        path: the file to write.
        labels: classes, from the quietest to the loudest.
        sample_rate: rate of the input in Hz.
        channels: channels of the input.
        window: samples of the input.
        card: fields of the card to add or to change, right or wrong ones: `{"format_version": 99}`.

    Returns:
        the path.
    """
    from onnx import TensorProto, helper, numpy_helper

    def constant(name: str, value: np.ndarray):
        return numpy_helper.from_array(value.astype(np.float32), name)

    graph = helper.make_graph(
        [
            helper.make_node("Abs", ["waveform"], ["size"]),
            helper.make_node("ReduceMean", ["size"], ["loudness"], axes=[1, 2], keepdims=1),
            helper.make_node("Squeeze", ["loudness", "last_axis"], ["level"]),
            helper.make_node("Sub", ["level", "levels"], ["difference"]),
            helper.make_node("Mul", ["difference", "difference"], ["distance"]),
            helper.make_node("Mul", ["distance", "sharpness"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["probabilities"], axis=-1),
        ],
        "tiny",
        [helper.make_tensor_value_info("waveform", TensorProto.FLOAT, ["batch", channels, window])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", len(labels)])],
        [
            numpy_helper.from_array(np.array([2], np.int64), "last_axis"),
            constant("levels", _levels(len(labels))[np.newaxis]),
            constant("sharpness", np.array(-_SHARPNESS)),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION)
    fields: dict[str, object] = {
        "format_version": 1,
        "soundfold_version": "0.1.0",
        "labels": list(labels),
        "sample_rate": sample_rate,
        "channels": channels,
        "downmix": "mean",
        "window": window,
        "data": "loudness, 4 clips",
        "scores": {"accuracy": 0.75},
    }
    helper.set_model_props(model, {"soundfold": json.dumps(fields | dict(card or {}))})
    path.write_bytes(model.SerializeToString(deterministic=True))
    return path


def write_mel_model(path: Path) -> Path:
    """Write an untrained model of 16 mel bands at 8 kHz, stereo; needs torch."""
    from soundfold.export import export_model
    from soundfold.models import build_classifier
    from soundfold.recipe import load_recipe
    from soundfold.runtime import FORMAT_VERSION, ModelCard

    sound = ("sample_rate=8000", "channels=2", "length_s=0.5")
    changes = (*sound, "kind=log_mel", "n_fft=256", "hop_length=128", "n_mels=16")
    recipe = load_recipe("probe", changes)
    classifier = build_classifier(recipe, 3, seed=0).eval()
    classifier.standardise.set_statistics(-30.0, 20.0)
    card = ModelCard(
        format_version=FORMAT_VERSION, soundfold_version="0.1.0", labels=("a", "b", "c"), sample_rate=8_000,
        channels=2, downmix="first", window=4_000, recipe=recipe.as_dict(),
    )  # fmt: skip
    export_model(classifier, recipe, card, path)
    return path


def _levels(labels: int) -> np.ndarray:
    return np.linspace(0.0, _LOUDEST, labels)
