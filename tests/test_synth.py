"""The synthetic set: layout, kinds of files, recordings and folds, determinism, manners on disk, what it teaches."""

import csv
import errno
import re
import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile

from soundfold.data.reading import read_clips
from soundfold.data.synth import LABELS, synthesise
from soundfold.data.synth.oscillators import control_times, draw_out, fast_length, harmonics, phase
from soundfold.data.synth.plan import Recording, draw_plan
from soundfold.data.synth.scene import Scene, inner_rate
from soundfold.data.synth.voices import VOICES
from soundfold.data.synth.wav import ADPCM_BLOCK, Encoding, encode
from soundfold.errors import DataError, PathError

Rows = list[dict[str, str]]

RATES = (8_000, 11_024, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000, 192_000)
SUBTYPES = {"PCM_16", "PCM_24", "PCM_32", "FLOAT", "PCM_U8", "IMA_ADPCM"}


def rows_of(root: Path) -> Rows:
    with (root / "metadata" / "UrbanSound8K.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def sound_of(root: Path, row: dict[str, str]) -> Path:
    return root / "audio" / f"fold{row['fold']}" / row["slice_file_name"]


def files_of(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def recordings(clips: int = 600, seed: int = 0) -> tuple[Recording, ...]:
    return draw_plan(clips, 10, seed, None, False)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = synthesise(tmp_path_factory.mktemp("synth") / "mixed", clips=110, folds=10)
    yield root
    shutil.rmtree(root)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = synthesise(tmp_path_factory.mktemp("synth") / "plain", clips=300, folds=5, length_s=1.5, plain=True)
    yield root
    shutil.rmtree(root)


# --- layout -----------------------------------------------------------------------------------------------------------


def test_every_row_has_its_file_and_every_file_its_row(mixed: Path) -> None:
    rows = rows_of(mixed)
    assert len(rows) == 110
    assert list(rows[0]) == ["slice_file_name", "fsID", "start", "end", "salience", "fold", "classID", "class"]
    assert {sound_of(mixed, row) for row in rows} == set(mixed.rglob("*.wav"))
    assert read_clips(mixed).kind == "synthetic UrbanSound8K"
    assert len(files_of(mixed)) == 112  # the table, and the word that this is not the real set
    for row in rows:
        assert re.fullmatch(rf"{row['fsID']}-{row['classID']}-\d+-\d+\.wav", row["slice_file_name"])
        assert LABELS[int(row["classID"])] == row["class"]
        assert row["salience"] in "12"


def test_each_fold_has_each_class(mixed: Path) -> None:
    assert {(row["fold"], row["class"]) for row in rows_of(mixed)} == {
        (str(fold), label) for fold in range(1, 11) for label in LABELS
    }


def test_lengths_match_the_table_to_the_sample(mixed: Path) -> None:
    for row in rows_of(mixed):
        info = soundfile.info(sound_of(mixed, row))
        assert info.frames == round((float(row["end"]) - float(row["start"])) * info.samplerate)


def test_no_clip_is_silent_or_out_of_range(mixed: Path) -> None:
    for row in rows_of(mixed):
        waveform, _ = soundfile.read(sound_of(mixed, row), dtype="float32")
        assert np.isfinite(waveform).all()
        assert 0.01 < np.abs(waveform).max() <= 1, row


def test_files_of_every_kind_are_there(mixed: Path) -> None:
    infos = [soundfile.info(path) for path in mixed.rglob("*.wav")]
    assert {info.samplerate for info in infos} == set(RATES)
    assert {info.subtype for info in infos} == SUBTYPES
    assert {info.format for info in infos} == {"WAV", "WAVEX"}
    assert {info.channels for info in infos} == {1, 2}


# --- the plan ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_600_clips_hold_every_kind_and_the_real_lengths(seed: int) -> None:
    plan = recordings(seed=seed)
    assert {recording.kind.sample_rate for recording in plan} == set(RATES)
    assert len({recording.kind.encoding for recording in plan}) == 6
    assert {recording.kind.extensible for recording in plan} == {True, False}
    seconds = np.array([s.samples / r.kind.sample_rate for r in plan for o in r.occurrences for s in o.slices])
    assert len(seconds) == 600
    assert 0.05 <= seconds.min() < 0.1
    assert seconds.max() == 4
    assert np.mean(seconds == 4) > 0.7
    assert np.sum(seconds < 0.5) >= 3


@pytest.mark.parametrize(("clips", "seed"), [(600, 0), (600, 1), (8732, 0)])
def test_recordings_keep_to_a_fold_and_mostly_to_a_class(clips: int, seed: int) -> None:
    plan = recordings(clips, seed)
    folds = [{s.fold for o in r.occurrences for s in o.slices} for r in plan]
    classes = [{o.class_id for o in r.occurrences} for r in plan]
    assert sum(len(of_one) > 1 for of_one in folds) == 2
    assert 1 <= sum(len(of_one) > 1 for of_one in classes) < 0.08 * len(plan)
    assert max(len(of_one) for of_one in classes) == 2
    assert {recording.clips for recording in plan} == set(range(1, 9))
    assert len({recording.fs_id for recording in plan}) == len(plan)


def test_class_sizes_follow_the_real_set() -> None:
    counts = np.zeros(10)
    for recording in recordings(8732):
        for occurrence in recording.occurrences:
            counts[occurrence.class_id] += len(occurrence.slices)
    real = [1000, 429, 1000, 1000, 1000, 1000, 374, 1000, 929, 1000]
    np.testing.assert_allclose(counts, real, atol=40)


def test_folds_are_of_like_size() -> None:
    counts = np.bincount([s.fold for r in recordings() for o in r.occurrences for s in o.slices], minlength=11)[1:]
    assert counts.min() >= 50
    assert counts.max() <= 70


def test_clips_of_a_stretch_overlap_at_half_seconds() -> None:
    for recording in recordings():
        for occurrence in recording.occurrences:
            offsets_s = [one.offset / recording.kind.sample_rate for one in occurrence.slices]
            assert offsets_s == pytest.approx([one.number * 0.5 for one in occurrence.slices], abs=1e-3)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"folds": 0}, "folds must be from 1 to 10, got 0"),
        ({"folds": 11}, "folds must be from 1 to 10, got 11"),
        ({"clips": 99}, "clips must be at least ten a fold, 100 for folds=10, got 99. Ask for more"),
        ({"clips": 100_001}, "clips must be at most 100,000, about 40 GB of sound, got 100,001. Ask for fewer"),
        ({"seed": -1}, "seed must not be negative, got -1"),
        ({"length_s": 0.01}, "length_s must be from 0.05 to 60 seconds, got 0.01"),
        ({"length_s": float("nan")}, "length_s must be from 0.05 to 60 seconds, got nan"),
    ],
)
def test_bad_numbers_are_refused_before_anything_is_written(
    tmp_path: Path, setting: dict[str, float], message: str
) -> None:
    with pytest.raises(DataError, match=re.escape(message)):
        synthesise(tmp_path / "set", **setting)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_told_with_the_place_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    mend = r"set: cannot be written \(No space left on device\)\. Free some space, ask for fewer clips, or name"
    with pytest.raises(PathError, match=mend):
        synthesise(tmp_path / "set", clips=10, folds=1)
    assert list(tmp_path.iterdir()) == []


# --- determinism ------------------------------------------------------------------------------------------------------


def test_same_seed_same_bytes_whatever_the_workers(tmp_path: Path) -> None:
    first = files_of(synthesise(tmp_path / "a", clips=40, folds=4, workers=1))
    assert files_of(synthesise(tmp_path / "b", clips=40, folds=4, workers=3)) == first
    assert len({info.subtype for info in map(soundfile.info, (tmp_path / "a").rglob("*.wav"))}) == 6
    other = files_of(synthesise(tmp_path / "c", clips=10, folds=1, seed=1, length_s=0.5))
    assert other != files_of(synthesise(tmp_path / "d", clips=10, folds=1, seed=2, length_s=0.5))


def test_one_length_and_plain_files(tmp_path: Path) -> None:
    synthesise(tmp_path / "set", clips=20, folds=1, length_s=0.3, plain=True)
    infos = [soundfile.info(path) for path in (tmp_path / "set").rglob("*.wav")]
    kinds = {(i.frames, i.samplerate, i.channels, i.subtype, i.format) for i in infos}
    assert kinds == {(13_230, 44_100, 1, "PCM_16", "WAV")}


def test_one_length_is_exact_in_mixed_files(tmp_path: Path) -> None:
    synthesise(tmp_path / "set", clips=40, folds=4, length_s=0.25)
    for path in (tmp_path / "set").rglob("*.wav"):
        info = soundfile.info(path)
        assert info.frames == round(0.25 * info.samplerate)


# --- manners on disk --------------------------------------------------------------------------------------------------


def test_a_folder_that_is_not_empty_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(PathError, match="is not empty"):
        synthesise(tmp_path, clips=10, folds=1)
    with pytest.raises(PathError, match=r"mine.txt: is a file"):
        synthesise(tmp_path / "mine.txt", clips=10, folds=1)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_parents_are_made_and_an_empty_folder_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = synthesise(tmp_path / "a" / "b", clips=10, folds=1, length_s=0.1)
    assert root == tmp_path / "a" / "b"
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    synthesise(".", clips=10, folds=1, length_s=0.1)
    for made in (root, tmp_path / "here"):
        assert sorted(path.name for path in made.iterdir()) == ["audio", "metadata"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "here"]


@pytest.mark.parametrize("exists", [True, False])
def test_an_interrupted_set_leaves_nothing(tmp_path: Path, exists: bool) -> None:
    seen: list[tuple[int, int]] = []

    def interrupt(done: int, total: int) -> None:
        seen.append((done, total))
        assert not (tmp_path / "set" / "metadata").exists()
        if done > 5:
            raise KeyboardInterrupt

    if exists:
        (tmp_path / "set").mkdir()
    with pytest.raises(KeyboardInterrupt):
        synthesise(tmp_path / "set", clips=50, folds=1, length_s=0.2, on_progress=interrupt)
    assert seen[-1][1] == 50
    assert list(tmp_path.rglob("*")) == ([tmp_path / "set"] if exists else [])


def test_progress_ends_at_all_clips(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    synthesise(tmp_path / "set", clips=12, folds=1, length_s=0.1, on_progress=lambda *done: seen.append(done))
    assert seen[-1] == (12, 12)
    assert seen == sorted(seen)


# --- voices, scene, files ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("class_id", range(10), ids=LABELS)
@pytest.mark.parametrize(("samples", "sample_rate"), [(2205, 44_100), (60_001, 32_000)])
def test_a_voice_sounds_from_the_start_and_repeats_itself(class_id: int, samples: int, sample_rate: int) -> None:
    for seed in range(5):
        voice = VOICES[class_id].draw(np.random.default_rng(seed))
        waveform = voice.sound(samples, sample_rate, np.random.default_rng(1))
        assert waveform.shape == (samples,)
        assert waveform.dtype == np.float32
        assert np.isfinite(waveform).all()
        assert np.abs(waveform[:1500]).max() > 1e-3 * np.abs(waveform).max() > 0
        np.testing.assert_array_equal(voice.sound(samples, sample_rate, np.random.default_rng(1)), waveform)


@pytest.mark.parametrize("sample_rate", RATES)
@pytest.mark.parametrize("channels", [1, 2])
def test_a_scene_keeps_length_and_frequency_at_any_rate(sample_rate: int, channels: int) -> None:
    inner = inner_rate(sample_rate)
    assert 32_000 <= inner <= 48_000
    tone = np.sin(2 * np.pi * 1000 * np.arange(inner) / inner).astype(np.float32)
    scene = Scene.draw(np.random.default_rng(3))
    sound = scene.record(tone, 1, channels, sample_rate, np.random.default_rng(0))
    assert sound.shape == (channels, sample_rate)
    assert np.abs(np.fft.rfft(sound[0])).argmax() == 1000


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("extensible", [False, True])
@pytest.mark.parametrize(
    ("encoding", "subtype", "step"),
    [
        ("int16", "PCM_16", 2**-14),
        ("int24", "PCM_24", 2**-22),
        ("int32", "PCM_32", 2**-22),
        ("float32", "FLOAT", 0),
        ("uint8", "PCM_U8", 2**-6),
    ],
)
def test_files_read_back(
    tmp_path: Path, channels: int, extensible: bool, encoding: Encoding, subtype: str, step: float
) -> None:
    waveform = np.random.default_rng(0).uniform(-1, 1, (channels, 1001)).astype(np.float32)
    waveform[:, :2] = 1, -1
    path = tmp_path / "a.wav"
    path.write_bytes(encode(waveform, 11_024, encoding, extensible))
    info = soundfile.info(path)
    assert (info.samplerate, info.channels, info.frames, info.subtype) == (11_024, channels, 1001, subtype)
    assert info.format == ("WAVEX" if extensible else "WAV")
    read, _ = soundfile.read(path, dtype="float64", always_2d=True)
    np.testing.assert_allclose(read.T, waveform, atol=step)


def test_encoding_clips_what_is_too_loud(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(encode(np.array([[2.0, -2.0]], dtype=np.float32), 8_000, "int16"))
    assert soundfile.read(tmp_path / "a.wav", dtype="int16")[0].tolist() == [32_767, -32_767]


@pytest.mark.parametrize("channels", [1, 2])
def test_adpcm_comes_in_known_blocks(tmp_path: Path, channels: int) -> None:
    samples = 3 * ADPCM_BLOCK[channels]
    tone = np.tile(0.5 * np.sin(np.arange(samples) * 0.05), (channels, 1)).astype(np.float32)
    (tmp_path / "a.wav").write_bytes(encode(tone, 44_100, "adpcm"))
    read, sample_rate = soundfile.read(tmp_path / "a.wav", always_2d=True)
    assert (read.shape, sample_rate) == ((samples, channels), 44_100)
    np.testing.assert_allclose(read.T[:, 100:], tone[:, 100:], atol=0.05)


# --- building blocks --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [4, 8, 64])
def test_draw_out_is_linear_interpolation(step: int) -> None:
    values = np.random.default_rng(0).uniform(-1, 1, 40)
    samples = 39 * step - 3
    expected = np.interp(np.arange(samples) / step, np.arange(40), values)
    np.testing.assert_allclose(draw_out(values, step, samples), expected, atol=1e-6)


def test_fast_length_is_the_shortest_of_its_kind() -> None:
    kinds = sorted(8 * 2**a * 3**b * 5**c for a in range(16) for b in range(11) for c in range(8))
    for samples in (1, 8, 9, 2000, 176_400, 177_147, 400_001):
        assert fast_length(samples) == next(kind for kind in kinds if kind >= samples)


def test_a_tone_has_its_frequency_and_harmonics() -> None:
    steady = np.full_like(control_times(8000, 8000), 440.0)
    tone = harmonics(phase(steady, 8000, 8000), np.array([1.0, 0.0, 0.5]))
    lines = np.abs(np.fft.rfft(tone)) / 4000
    assert lines[440] == pytest.approx(1, abs=0.01)
    assert lines[1320] == pytest.approx(0.5, abs=0.01)
    assert lines[880] < 0.01


# --- can it be learnt, and does it leak -------------------------------------------------------------------------------


def mean_log_spectra(root: Path, rows: Rows) -> np.ndarray:
    """Return mean and deviation over time of log energies in 40 bands, (clips, 80)."""
    edges = np.geomspace(60, 16_000, 41)
    bins = np.fft.rfftfreq(1024, 1 / 44_100)
    bands = [(bins >= low) & (bins < max(high, low + 60)) for low, high in pairwise(edges)]
    weights = np.array(bands, dtype=np.float32).T
    answers = []
    for row in rows:
        waveform, _ = soundfile.read(sound_of(root, row), dtype="float32")
        frames = waveform[: len(waveform) // 1024 * 1024].reshape(-1, 1024) * np.hanning(1024)
        energies = np.log(np.abs(np.fft.rfft(frames)) ** 2 @ weights + 1e-8)
        answers.append(np.concatenate([energies.mean(0), energies.std(0)]))
    return np.array(answers)


def test_classes_are_told_apart_and_recordings_leak(plain: Path) -> None:
    pytest.importorskip("sklearn")
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold, StratifiedKFold, cross_val_score
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rows = rows_of(plain)
    features = mean_log_spectra(plain, rows)
    classes = [row["classID"] for row in rows]
    linear = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000))
    nearest = make_pipeline(StandardScaler(), KNeighborsClassifier(1))
    by_recording = {"cv": GroupKFold(5), "groups": [row["fsID"] for row in rows]}
    by_chance = {"cv": StratifiedKFold(5, shuffle=True, random_state=0)}
    assert 0.35 < cross_val_score(linear, features, classes, **by_recording).mean() < 0.9
    honest = cross_val_score(nearest, features, classes, **by_recording).mean()
    leaking = cross_val_score(nearest, features, classes, **by_chance).mean()
    assert leaking > 0.85
    assert leaking - honest > 0.2
