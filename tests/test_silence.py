"""Silence: no class is told of it, by any way, unless a class was trained on clips that hold nothing."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

import soundfold
from conftest import RATE, SMALL, write_folders
from soundfold.runtime import UNKNOWN, Joining, Span, Stream

FEW = (*SMALL, "training.epochs=2")
BARK = np.sin(np.arange(RATE // 2) * 0.3).astype(np.float32) * 0.4


def trained(data: Path, folder: Path, **options: object) -> soundfold.Model:
    soundfold.train(
        data, recipe="tutorial", changes=FEW, everything=True, out=folder / "run", cache=folder / "cache", **options
    )
    return soundfold.load(folder / "run")


@pytest.fixture(scope="module")
def model(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> soundfold.Model:
    return trained(small_data, tmp_path_factory.mktemp("silence"))


@pytest.mark.parametrize("offset", [0.0, 1e-6, -1e-5])
def test_silence_is_unknown_and_as_likely_as_the_network_says(model, offset):
    nothing = np.full(3 * RATE, offset, np.float32)
    answer = model.predict(nothing, RATE)
    assert (answer.label, answer.events) == (UNKNOWN, ())
    assert {span.label for span in answer.timeline} == {UNKNOWN}
    [row] = model.probabilities(nothing[None, None, : model.card.window])
    assert answer.probabilities == pytest.approx(dict(zip(model.labels, row.tolist(), strict=True)), abs=1e-6)
    assert answer.probabilities[answer.nearest] == answer.probability == max(answer.probabilities.values())


def test_the_quietest_dither_and_what_has_an_offset_are_sounds(model):
    dither = np.random.default_rng(0).choice([0.0, 2**-15], RATE // 2).astype(np.float32)
    for sound in (dither, np.full(RATE // 2, 0.1, np.float32)):
        assert model.predict(sound, RATE).label in model.labels


def test_silent_windows_begin_no_event_and_the_others_tell_the_sound(model):
    sound = np.concatenate([np.zeros(RATE), BARK, np.zeros(RATE)])
    answer = model.predict(sound, RATE, joining=Joining(threshold=0.01))
    assert [span.label == UNKNOWN for span in answer.timeline] == [True, True, False, True, True]
    assert answer.label in model.labels
    assert {(event.start_s, event.end_s) for event in answer.events} == {(1.0, 1.5)}


@pytest.mark.parametrize("size", [100, 3_999, 50_000])
def test_a_stream_tells_the_same(model, size):
    sound = np.concatenate([np.zeros(RATE), BARK, np.zeros(RATE)])
    opened = Stream(model, RATE, joining=Joining(threshold=0.01))
    told = list(opened.hear(sound[at : at + size] for at in range(0, len(sound), size)))
    whole = model.predict(sound, RATE, joining=Joining(threshold=0.01))
    assert [one.label for one in told if isinstance(one, Span)] == [span.label for span in whole.timeline]
    assert [one.as_dict() for one in told if not isinstance(one, Span)] == [event.as_dict() for event in whole.events]


def test_a_class_of_silence_is_told(tmp_path):
    data = write_folders(tmp_path / "data")
    for fold in (1, 2, 3):
        folder = data / f"fold{fold}" / "nothing" / f"recording{fold}9"
        folder.mkdir(parents=True)
        for number in range(6):
            soundfile.write(folder / f"n{number}.wav", np.zeros(RATE // 2), RATE)
    model = trained(data, tmp_path)
    assert not model.card.silence_is_unknown
    assert model.predict(np.zeros(RATE // 2, np.float32), RATE).label in model.labels


def test_a_stray_silent_clip_makes_no_class_of_silence(tmp_path):
    data = write_folders(tmp_path / "data")
    soundfile.write(next(data.rglob("*.wav")), np.zeros(RATE // 2), RATE)
    model = trained(data, tmp_path)
    assert model.card.silence_is_unknown
