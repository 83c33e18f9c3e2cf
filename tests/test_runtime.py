"""The runtime: the same answer from a path, bytes or an array, at any rate and length; no torch."""

import math
import os
import platform
import subprocess
import sys
import threading
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from model_files import TINY_MODEL, tiny_probabilities
from soundfold.audio import fit_length, windows
from soundfold.errors import AudioError, ModelFileError, PathError, SoundfoldError
from soundfold.runtime import (
    FORMAT_VERSION,
    EventJoiner,
    Joining,
    Model,
    ModelCard,
    Prediction,
    load,
    read_card,
    recordings_digest,
    share_of_known_recordings,
)

pytestmark = pytest.mark.runtime
RATE, WINDOW = 8_000, 8_000


@pytest.fixture(scope="module")
def model() -> Model:
    return load(TINY_MODEL)


def noise(seconds: float, level: float = 0.3, channels: int = 1, rate: int = RATE) -> np.ndarray:
    generator = np.random.default_rng(int(seconds * 1000))
    swell = np.linspace(0.1, 1.0, round(seconds * rate))
    return (generator.uniform(-level, level, (channels, len(swell))) * swell).astype(np.float32)


def told(answer: Prediction) -> list[float]:
    return list(answer.probabilities.values())


def expected(waveform: np.ndarray, hop: int = WINDOW) -> np.ndarray:
    """The rule in plain numpy: windows side by side, the last one centred in silence, weighted by their sound."""
    spans = windows(waveform.shape[1], WINDOW, hop)
    each = tiny_probabilities(np.stack([fit_length(waveform[:, start:stop], WINDOW) for start, stop in spans]))
    return np.average(each, axis=0, weights=[stop - start for start, stop in spans])


@pytest.mark.parametrize("seconds", [0.05, 0.5, 1.0, 1.000125, 2.0, 3.7, 40.25])
def test_answer_is_the_weighted_mean_over_windows(model: Model, tmp_path: Path, seconds: float) -> None:
    waveform = noise(seconds)
    soundfile.write(tmp_path / "x.wav", waveform.T, RATE, subtype="FLOAT")
    answer = model.predict(tmp_path / "x.wav")
    np.testing.assert_allclose(list(answer.probabilities.values()), expected(waveform), atol=1e-5)
    assert answer.duration_s == pytest.approx(seconds, abs=1e-3)
    assert answer.label == max(answer.probabilities, key=lambda label: answer.probabilities[label])
    assert sum(answer.probabilities.values()) == pytest.approx(1.0, abs=1e-6)
    assert len(answer.timeline) == len(windows(waveform.shape[1], WINDOW, WINDOW))


def test_path_bytes_file_and_array_get_the_same_answer(model: Model, tmp_path: Path) -> None:
    waveform = noise(2.3)
    path = tmp_path / "größe 音 🎵.wav"
    soundfile.write(path, waveform.T, RATE, subtype="FLOAT")
    answers = [
        model.predict(path), model.predict(str(path)), model.predict(path.read_bytes()),
        model.predict(BytesIO(path.read_bytes())), model.predict(waveform, RATE), model.predict(waveform[0], RATE),
    ]  # fmt: skip
    for answer in answers[1:]:
        np.testing.assert_allclose(
            list(answer.probabilities.values()), list(answers[0].probabilities.values()), atol=1e-6
        )


def test_a_name_that_is_not_text_is_opened(model: Model, tmp_path: Path) -> None:
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.wav")
    content = BytesIO()
    soundfile.write(content, noise(1.0).T, RATE, format="WAV")
    try:
        Path(path).write_bytes(content.getvalue())
    except (OSError, UnicodeError):
        pytest.skip("this system has no such names")
    answer = model.predict(path)
    assert answer.path == path
    assert told(answer) == told(model.predict(content.getvalue()))
    Path(path).write_text("no sound")
    with pytest.raises(AudioError, match=r"/\\udcff\.wav: is not a sound"):
        model.predict(path)
    with pytest.raises(PathError, match="does not exist"):
        model.predict(path + "x")


@pytest.mark.parametrize(("rate", "channels"), [(44_100, 2), (192_000, 1), (11_025, 5), (8_000, 2)])
def test_array_and_file_agree_at_any_rate_and_channel_count(
    model: Model, tmp_path: Path, rate: int, channels: int
) -> None:
    waveform = noise(1.5, channels=channels, rate=rate)
    soundfile.write(tmp_path / "x.wav", waveform.T, rate, subtype="FLOAT")
    by_file, by_array = model.predict(tmp_path / "x.wav"), model.predict(waveform, rate)
    np.testing.assert_allclose(list(by_file.probabilities.values()), list(by_array.probabilities.values()), atol=1e-5)


def test_timeline_follows_the_hop(model: Model) -> None:
    waveform = noise(3.3)
    spans = model.predict(waveform, RATE, hop_s=0.25).timeline
    assert [(round(span.start_s * RATE), round(span.end_s * RATE)) for span in spans] == windows(26_400, WINDOW, 2000)
    quiet_then_loud = [span.probabilities["high"] for span in spans[:-1]]
    assert quiet_then_loud == sorted(quiet_then_loud)


def test_events_are_the_windows_joined(model: Model) -> None:
    waveform = np.zeros(9_600, np.float32)
    waveform[3_200:6_400] = 1.0
    joining = Joining(threshold=0.6, min_s=0.1, gap_s=0.05)
    answer = model.predict(waveform, RATE, hop_s=0.1, joining=joining)
    assert answer.events == model.timeline(waveform, RATE, hop_s=0.1, threshold=0.6, min_s=0.1, gap_s=0.05)
    joiner = EventJoiner(model.card, joining)
    for span in answer.timeline:
        row = np.array([span.probabilities[label] for label in model.labels])
        joiner.add(round(span.start_s * RATE), round(span.end_s * RATE), row)
    assert answer.events == tuple(joiner.finish())
    assert [event.label for event in answer.events] == ["high"]
    (whole,) = model.predict(np.ones(4_000, np.float32), RATE).events
    assert (whole.start_s, whole.end_s, whole.label) == (0.0, 0.5, "high")
    with pytest.raises(SoundfoldError, match="threshold must be above 0"):
        model.timeline(waveform, RATE, threshold=2)


def test_windows_keep_what_they_tell_where_no_more_is_wanted(model: Model) -> None:
    waveform = noise(3.3)
    whole, lean = (model.predict(waveform, RATE, hop_s=0.5, every_probability=every) for every in (True, False))
    assert told(whole) == told(lean)
    assert whole.events == lean.events
    for every, some in zip(whole.timeline, lean.timeline, strict=True):
        assert some.as_dict() == every.as_dict()
        assert some.probabilities == {every.label: every.probability}


def test_part_of_a_file(model: Model, tmp_path: Path) -> None:
    waveform = noise(4.0)
    soundfile.write(tmp_path / "x.wav", waveform.T, RATE, subtype="FLOAT")
    part = model.predict(tmp_path / "x.wav", start_s=1.5, end_s=2.25)
    np.testing.assert_allclose(list(part.probabilities.values()), expected(waveform[:, 12_000:18_000]), atol=1e-5)


def test_many_sounds_come_back_in_order_with_errors_in_their_place(model: Model, tmp_path: Path) -> None:
    paths: list[str] = []
    for number in range(30):
        path = tmp_path / f"{number}.wav"
        if number % 7 == 3:
            path.write_text("no sound")
        else:
            soundfile.write(path, noise(0.5 + number / 10).T, RATE)
        paths.append(str(path))
    answers = list(model.predict_many(paths, workers=3))
    assert len(answers) == len(paths)
    for number, (path, answer) in enumerate(zip(paths, answers, strict=True)):
        if number % 7 == 3:
            assert isinstance(answer, SoundfoldError)
            assert path in str(answer)
        else:
            assert isinstance(answer, Prediction)
            assert answer.path == path


def test_a_tuple_that_is_no_part_of_a_sound_is_told_in_its_place(model: Model, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "x.wav", noise(1.0).T, RATE)
    sound = str(tmp_path / "x.wav")
    wrong: list[Any] = [(noise(1.0), RATE), (), (sound, 0.0, 0.5, 1)]
    answers = list(model.predict_many([sound, *wrong, (sound, 0.0, 0.5)]))
    assert [type(answer) for answer in answers] == [Prediction, AudioError, AudioError, AudioError, Prediction]
    for given, answer in zip(wrong, answers[1:], strict=False):
        assert f"must be one, or (sound, start_s, end_s), got a tuple of {len(given)}." in str(answer)


@pytest.mark.parametrize(("workers", "sounds"), [(1, 3), (2, 3), (1, 100)])
def test_what_is_named_before_the_names_fail_is_answered(
    model: Model, tmp_path: Path, workers: int, sounds: int
) -> None:
    soundfile.write(tmp_path / "x.wav", noise(0.5).T, RATE)

    def named() -> Iterator[str]:
        yield from [str(tmp_path / "x.wav")] * sounds
        raise KeyError("names")

    got = model.predict_many(named(), workers=workers)
    for _ in range(sounds):
        assert isinstance(next(got), Prediction)
    with pytest.raises(KeyError, match="names"):
        next(got)


def test_stopping_early_leaves_nothing_running(model: Model, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "x.wav", noise(0.5).T, RATE)
    before = set(threading.enumerate())
    answers = model.predict_many([str(tmp_path / "x.wav")] * 100, workers=2)
    next(answers)
    assert set(threading.enumerate()) - before, "no worker was started: this test would see nothing"
    answers.close()  # type: ignore[attr-defined]
    assert set(threading.enumerate()) <= before


@pytest.mark.parametrize(
    ("sound", "rate", "message"),
    [
        (np.zeros(10, np.float32), None, "sample_rate must be given with a waveform"),
        (np.zeros((2, 0), np.float32), 8000, "waveform must be .* not empty"),
        (
            np.zeros((1000, 2), np.float32),
            8000,
            "waveform must be \\(channels, samples\\), got \\(1000, 2\\). Transpose",
        ),
        (
            np.zeros(10, np.float32),
            10**15,
            "sample_rate must be a whole number of Hz from 1 to .*, got 1000000000000000",
        ),
        (np.zeros(10, np.float32), "44100", "sample_rate must be a whole number of Hz from 1 to .*, got '44100'"),
        (np.full(10, np.nan, np.float32), 8000, "waveform must hold finite numbers"),
        (np.full(10, np.inf, np.float32), 8000, "waveform must hold finite numbers"),
        (b"", None, "empty"),
        (b"hello, this is text and not a sound", None, "text"),
    ],
)
def test_bad_sound_is_told(model: Model, sound: np.ndarray | bytes, rate: int | None, message: str) -> None:
    with pytest.raises(AudioError, match=message):
        model.predict(sound, rate)


@pytest.mark.parametrize("hop_s", [0.0, -1.0, 1.5, math.nan, math.inf])
def test_bad_hop_is_told(model: Model, hop_s: float) -> None:
    with pytest.raises(
        AudioError, match=r"hop must be more than 0 \(a sample at least\) and at most the window of 1 s"
    ):
        model.predict(noise(1.0), RATE, hop_s=hop_s)


def test_missing_and_foreign_files_are_told(tmp_path: Path) -> None:
    with pytest.raises(PathError, match="there is no such model file or run"):
        load(tmp_path / "gone")
    (tmp_path / "text.onnx").write_text("hello")
    with pytest.raises(ModelFileError, match=r"text\.onnx: is not a model file that can be opened") as caught:
        load(tmp_path / "text.onnx")
    assert "\n" not in str(caught.value)
    (tmp_path / "empty.onnx").write_bytes(b"")
    with pytest.raises(ModelFileError):
        load(tmp_path / "empty.onnx")
    (tmp_path / "dog.WAV").write_bytes(b"")
    with pytest.raises(ModelFileError, match=r"dog\.WAV: is a sound, no model. Name a model file or a run"):
        load(tmp_path / "dog.WAV")
    (tmp_path / "run").mkdir()
    with pytest.raises(ModelFileError, match="run: is no model file and no run. Name one, or train one with"):
        load(tmp_path / "run")
    (tmp_path / "run" / "run.json").write_text("{}")
    with pytest.raises(ModelFileError, match="holds no finished model. Continue what made it with --resume$"):
        load(tmp_path / "run")
    for name in ("weights.safetensors", "model.onnx"):
        (tmp_path / "run" / name).write_bytes(b"")
    with pytest.raises(ModelFileError, match=r"safetensors: is not the model file, .* Name .*model\.onnx$"):
        load(tmp_path / "run" / "weights.safetensors")
    (tmp_path / "cv" / "fold1").mkdir(parents=True)
    (tmp_path / "cv" / "fold1" / "model.onnx").write_bytes(b"")
    with pytest.raises(ModelFileError, match="is a cross-validation with a model a fold. Name one .*fold1"):
        load(tmp_path / "cv")


def test_truncated_model_files_never_crash(tmp_path: Path) -> None:
    whole = TINY_MODEL.read_bytes()
    for size in range(0, len(whole), 13):
        (tmp_path / "part.onnx").write_bytes(whole[:size])
        with pytest.raises(ModelFileError):
            load(tmp_path / "part.onnx")


@pytest.mark.parametrize(
    ("card", "message"),
    [
        (None, "not one of soundfold's"),
        ("{", "its description is damaged"),
        ("[" * 100_000, "its description is damaged"),
        ("[]", "its description is damaged"),
        ('{"format_version": "99"}', "its description is damaged"),
        ('{"format_version": 1}', "its description is damaged: soundfold_version"),
    ],
)
def test_bad_card_is_told(card: str | None, message: str) -> None:
    with pytest.raises(ModelFileError, match=message):
        read_card(card, "m.onnx")


def card(**changes: object) -> ModelCard:
    values = {
        "format_version": FORMAT_VERSION, "soundfold_version": "0", "labels": ("a",), "sample_rate": 8000,
        "channels": 1, "downmix": "first", "window": 8000,
    }  # fmt: skip
    return ModelCard.model_validate(values | changes)


def test_later_format_is_refused_and_later_fields_are_not() -> None:
    later = card(format_version=FORMAT_VERSION + 1, soundfold_version="9.9").model_dump_json()
    with pytest.raises(ModelFileError, match=r"was written by soundfold 9\.9, in a format .* Update soundfold"):
        read_card(later, "m.onnx")
    for text in ('{"format_version": 3}', '{"format_version": 99, "labels": 7, "soundfold_version": null}'):
        with pytest.raises(ModelFileError, match=r"m\.onnx: was written by soundfold .* Update soundfold$"):
            read_card(text, "m.onnx")
    assert read_card(card().model_dump_json()[:-1] + ', "new": 1}', "m.onnx") == card()


def test_recordings_that_trained_are_recognised_and_no_name_can_be_read() -> None:
    trained = [f"recording {number}" for number in range(500)]
    known = card(training_recordings=recordings_digest(trained))
    assert share_of_known_recordings(known, trained) == 1.0
    assert share_of_known_recordings(known, [f"other {number}" for number in range(500)]) == 0.0
    assert share_of_known_recordings(known, [trained[0], "other", "another", "third"]) == 0.25
    assert "recording" not in known.training_recordings
    assert share_of_known_recordings(card(), trained) is None


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.int32, np.float64])
def test_whole_numbers_are_taken_for_pcm(kind: type, model: Model) -> None:
    wave = noise(1.0)[0]
    full = {np.uint8: 2.0**7, np.int16: 2.0**15, np.int32: 2.0**31}.get(kind, 1.0)
    held = (np.round(wave * full) + (128 if kind is np.uint8 else 0)).astype(kind) if full > 1 else wave.astype(kind)
    told, expected = model.predict(held, RATE), model.predict(wave, RATE)
    assert told.label == expected.label
    assert told.probability == pytest.approx(expected.probability, abs=0.02 if kind is np.uint8 else 1e-3)


def test_whole_numbers_of_unknown_scale_are_refused(model: Model) -> None:
    with pytest.raises(AudioError, match="floats in -1 to 1, or PCM as uint8, int16 or int32, got int64"):
        model.predict(np.ones(RATE, dtype=np.int64), RATE)


def test_nobody_is_told_that_a_model_is_opened(tmp_path: Path) -> None:
    """onnxruntime would start a thread that reports, and leave a file."""
    code = (
        "import os, sys; from soundfold import load; load(sys.argv[1]); "
        "assert os.environ['ORT_DISABLE_TELEMETRY'] == '1'"
    )
    kept = {name: value for name, value in os.environ.items() if name not in ("CI", "ORT_DISABLE_TELEMETRY")}
    subprocess.run([sys.executable, "-c", code, str(TINY_MODEL)], env=kept | {"TMPDIR": str(tmp_path)}, check=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have other habits")
def test_the_memory_of_one_sound_serves_for_the_next() -> None:
    """A process of its own: what earlier tests freed has taught this one's C library already."""
    code = (
        "import resource, sys, numpy as np, soundfold\n"
        "model = soundfold.load(sys.argv[1])\n"
        "sound = np.random.default_rng(0).normal(0, 0.1, (2, 480_000)).astype(np.float32)\n"
        "pages = []\n"
        "for _ in range(6):\n"
        "    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "    model.predict(sound, 48_000)\n"
        "    pages.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)\n"
        "print(min(pages))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(TINY_MODEL)], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 200, "3.8 MB are 900 pages"
