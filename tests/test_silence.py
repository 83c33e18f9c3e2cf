"""Silence: no class is told of it, by any way, unless a class was trained on clips that hold nothing."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

import soundfold
from conftest import RATE, SMALL, write_folders
from make_kept_models import KEPT
from soundfold.cli import main
from soundfold.runtime import UNKNOWN, Joining, Span, Stream, load
from soundfold.runtime.verdict import judge, judge_sound, span_of

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
    assert answer.timeline[2].label == answer.label
    assert answer.probabilities == pytest.approx(answer.timeline[2].probabilities)
    assert {(event.start_s, event.end_s) for event in answer.events} == {(1.0, 1.5)}


def test_held_out_clips_are_scored_as_the_file_answers_them(tmp_path):
    """A window that holds nothing has no say in a score either."""
    data = write_folders(tmp_path / "data", seconds=0.7)
    for number, path in enumerate(sorted(data.rglob("*.wav"))):
        sound, _ = soundfile.read(path, dtype="float32")
        before, after = np.zeros(RATE // 2 * (number % 3)), np.zeros(RATE * (number % 2))
        soundfile.write(path, np.concatenate([before, sound, after]), RATE)
    run = soundfold.train(
        data, recipe="tutorial", changes=FEW, test_fold=3, out=tmp_path / "run", cache=tmp_path / "cache"
    )
    model, table = soundfold.load(tmp_path / "run"), pd.read_parquet(tmp_path / "run" / "predictions.parquet")
    assert run.n == len(table) == 12
    for row in table.to_dict("records"):
        told = model.predict(data / row["path"]).probabilities
        assert told == pytest.approx({label: row[f"p:{label}"] for label in model.labels}, abs=1e-3)


@pytest.mark.parametrize("size", [100, 3_999, 50_000])
def test_a_stream_tells_the_same(model, size):
    sound = np.concatenate([np.zeros(RATE), BARK, np.zeros(RATE)])
    opened = Stream(model, RATE, joining=Joining(threshold=0.01))
    told = list(opened.hear(sound[at : at + size] for at in range(0, len(sound), size)))
    whole = model.predict(sound, RATE, joining=Joining(threshold=0.01))
    assert [one.label for one in told if isinstance(one, Span)] == [span.label for span in whole.timeline]
    assert [one.as_dict() for one in told if not isinstance(one, Span)] == [event.as_dict() for event in whole.events]


def test_a_sound_of_unknown_windows_is_unknown(model):
    card = model.card
    unsure = [span_of(card, 0, 9, np.array([0.55, 0.45])), span_of(card, 9, 18, np.array([0.45, 0.55]))]
    known = judge_sound(card, np.array([0.5, 0.5]), unsure)
    assert known.label == card.labels[0]
    unknown = [replace(span, label=UNKNOWN, nearest=span.label) for span in unsure]
    told = judge_sound(card, np.array([0.5, 0.5]), unknown)
    assert (told.label, told.nearest, told.probability) == (UNKNOWN, card.labels[0], 0.5)
    assert judge_sound(card, np.array([0.5, 0.5]), [unknown[0], unsure[1]]).label == card.labels[0]


def test_all_formats_and_ways_tell_none(model, tmp_path, capsys):
    path = tmp_path / "silence.wav"
    soundfile.write(path, np.zeros(3 * RATE), RATE)
    for form in ("table", "csv"):
        assert main(["predict", str(model.path), str(path), "--windows", "--format", form]) == 0
        told = capsys.readouterr().out
        assert UNKNOWN in told
        classes = [line for line in told.splitlines()[1:] if any(label in line for label in model.labels)]
        assert all(UNKNOWN in line for line in classes)
    main(["predict", str(model.path), str(path)])
    assert "no event: all of it is unknown to the model" in capsys.readouterr().err
    [many] = model.predict_many([path])
    assert many.label == UNKNOWN


def test_a_model_of_several_labels_tells_none():
    card = load(KEPT / "0.1.0" / "several.onnx").card.model_copy(update={"silence_is_unknown": True})
    verdict = judge(card, np.array([0.9, 0.2]), silent=True)
    assert (verdict.label, verdict.labels, verdict.nearest) == (UNKNOWN, (), card.labels[0])
    assert judge(card, np.array([0.9, 0.2])).labels == (card.labels[0],)


@pytest.mark.parametrize("name", ["n.wav", "n.ogg"])
def test_a_class_of_silence_is_told(tmp_path, name):
    data = write_folders(tmp_path / "data")
    for fold in (1, 2, 3):
        folder = data / f"fold{fold}" / "nothing" / f"recording{fold}9"
        folder.mkdir(parents=True)
        for number in range(6):  # what Opus makes of silence is not quite zero
            subtype = "OPUS" if name.endswith("ogg") else "PCM_16"
            soundfile.write(folder / f"{number}{name}", np.zeros(RATE // 2), RATE, subtype=subtype)
    model = trained(data, tmp_path)
    assert not model.card.silence_is_unknown
    assert model.predict(np.zeros(RATE // 2, np.float32), RATE).label in model.labels


def test_a_stray_silent_clip_makes_no_class_of_silence(tmp_path):
    data = write_folders(tmp_path / "data")
    soundfile.write(next(data.rglob("*.wav")), np.zeros(RATE // 2), RATE)
    model = trained(data, tmp_path)
    assert model.card.silence_is_unknown
