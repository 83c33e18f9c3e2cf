"""The audit: what it counts, what it hears, and that each fault has its sentence with a mend."""

import json
import os
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile

from soundfold.data.audit import Audit, audit
from soundfold.data.hearing import hear
from soundfold.data.reading import read_clips
from soundfold.data.splits import by_fold, find_leaks

RATE = 8_000


def noise(seed: int, samples: int = RATE, channels: int = 1) -> np.ndarray:
    """Draw noise on the grid of 16-bit samples, shape (samples, channels), so that every format gives it back whole."""
    return np.random.default_rng(seed).integers(-9_000, 9_000, (samples, channels)) / 32_768


def write(path: Path, waveform: np.ndarray, sample_rate: int = RATE, **settings: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, waveform, sample_rate, **settings)
    return path


def audit_table(folder: Path, header: str, rows: Sequence[str]) -> Audit:
    (folder / "clips.csv").write_text("\n".join([header, *rows]) + "\n", "utf-8")
    return audit(read_clips(folder / "clips.csv"))


def finding(result: Audit, text: str) -> str:
    found = [sentence for sentence in result.findings if text in sentence]
    assert len(found) == 1, result.findings
    return found[0]


def test_a_sound_set_has_no_findings(tmp_path: Path) -> None:
    for number in range(10):
        write(tmp_path / ("cat", "dog")[number % 2] / f"r{number}" / "a.wav", noise(number))
    result = audit(read_clips(tmp_path))
    assert result.findings == ()
    assert result.per_class == {"cat": 5, "dog": 5}
    assert result.recordings_per_class == {"cat": 5, "dog": 5}
    assert result.per_fold == {}


def test_counts_and_formats(tmp_path: Path) -> None:
    write(tmp_path / "fold1" / "a" / "1.wav", noise(1))
    write(tmp_path / "fold1" / "b" / "2.flac", noise(2, 2 * RATE, 2))
    write(tmp_path / "fold2" / "a" / "3.wav", noise(3, 400), 16_000, subtype="PCM_24")
    write(tmp_path / "fold2" / "a" / "4.ogg", noise(4))
    result = audit(read_clips(tmp_path))
    assert result.per_fold == {"1": {"a": 1, "b": 1}, "2": {"a": 2, "b": 0}}
    assert result.sample_rates == {8_000: 3, 16_000: 1}
    assert result.channels == {1: 3, 2: 1}
    assert sum(result.formats.values()) == 4
    assert any("PCM_24" in name for name in result.formats)
    assert result.lengths is not None
    assert result.lengths.min_s == 0.025
    assert result.lengths.max_s == 2.0
    assert result.lengths.median_s == 1.0
    assert result.lengths.short == 1
    assert "1 clip are" not in " ".join(result.findings)
    assert "shortest 0.0250 s" in finding(result, "shorter than 0.1 s")


def test_unreadable_silent_and_clipped_clips(tmp_path: Path) -> None:
    for number in range(6):
        write(tmp_path / "a" / f"{number}.wav", noise(number))
    (tmp_path / "a" / "text.wav").write_text("this is no sound")
    (tmp_path / "a" / "empty.wav").write_bytes(b"")
    write(tmp_path / "b" / "silent.wav", np.zeros((RATE, 1)))
    write(tmp_path / "b" / "silent2.wav", np.zeros((RATE, 1)))
    loud = noise(9)
    loud[:8] = 1.0  # exactly 0.1 % of the samples
    write(tmp_path / "b" / "clipped.wav", loud)
    loud[7] = 0.5
    write(tmp_path / "b" / "nearly.wav", loud)
    result = audit(read_clips(tmp_path))
    assert [Path(one.path).name for one in result.unreadable] == ["empty.wav", "text.wav"]
    assert all(one.reason and one.path not in one.reason for one in result.unreadable)
    assert [Path(path).name for path in result.silent] == ["silent.wav", "silent2.wav"]
    assert result.sound_hashes.count("") == len(result.silent) + len(result.unreadable)
    assert [Path(path).name for path in result.clipped] == ["clipped.wav"]
    assert result.identical == ()  # silence is told once
    assert "empty.wav" in finding(result, "2 clips cannot be read")
    assert "Remove" in finding(result, "2 clips are silent")
    assert "clipped.wav" in finding(result, "at full scale")


def test_8_bit_sound_is_clipped_at_its_own_full_scale(tmp_path: Path) -> None:
    square = np.where(np.arange(RATE) % 40 < 20, 127 / 128, 0.0)
    assert hear(str(write(tmp_path / "a.wav", square, subtype="PCM_U8"))).full_scale == 0.5
    assert hear(str(write(tmp_path / "b.wav", square * 0.98))).full_scale == 0.0


def test_identical_sounds_whatever_their_format(tmp_path: Path) -> None:
    sounds = {"1.wav": 1, "1.flac": 1, "2a.wav": 2, "2b.wav": 2, "3a.wav": 3, "3b.wav": 3, "4a.wav": 4, "4b.wav": 4}
    for name, seed in sounds.items():
        write(tmp_path / name, noise(seed, 40 * RATE if seed == 1 else RATE))
    rows = ["1.wav,x,1,a", "1.flac,y,1,b", "2a.wav,x,1,c", "2b.wav,x,2,d"]
    rows += ["3a.wav,y,2,e", "3b.wav,y,2,f", "4a.wav,y,2,g", "4b.wav,y,2,g"]
    result = audit_table(tmp_path, "path,label,fold,group", rows)
    assert [len(same.clips) for same in result.identical] == [2, 2, 2, 2]
    assert result.identical[0].labels == ("x", "y")
    assert result.identical[1].folds == ("1", "2")
    assert result.identical[2].recordings == ("e", "f")
    for number, text in ((1, "under different labels"), (2, "in different folds"), (3, "under different recordings")):
        assert f"{number}" in Path(finding(result, text).split("(first ")[1].split(" and ")[0]).name
    assert "4a.wav" in finding(result, "inside one recording")
    clips = read_clips(tmp_path / "clips.csv")
    split = by_fold(clips, "2")
    assert find_leaks(clips, split.train, split.test, result.sound_hashes).identical_clips == 1


def test_rate_and_channels_are_part_of_a_sound(tmp_path: Path) -> None:
    waveform = noise(1, RATE, 2)
    digests = {
        hear(str(write(tmp_path / "a.wav", waveform))).digest,
        hear(str(write(tmp_path / "b.wav", waveform, 2 * RATE))).digest,
        hear(str(write(tmp_path / "c.wav", waveform.reshape(-1, 1)))).digest,
    }
    assert len(digests) == 3


def test_ranges_inside_a_file(tmp_path: Path) -> None:
    write(tmp_path / "long.wav", np.concatenate([noise(1), noise(2), noise(1)]))
    result = audit_table(
        tmp_path, "path,label,start,end", ["long.wav,a,0,1", "long.wav,b,1,2", "long.wav,c,2,", "long.wav,c,2.5,3.5"]
    )
    assert result.lengths is not None
    assert result.lengths.max_s == pytest.approx(1.0)
    assert [one.path for one in result.unreadable] == [f"{tmp_path / 'long.wav'} [2.5 s to 3.5 s]"]
    assert "2.500 to 3.500 s" in finding(result, "1 clip cannot be read")
    assert result.identical[0].clips == (
        f"{tmp_path / 'long.wav'} [0 s to 1 s]",
        f"{tmp_path / 'long.wav'} [2 s to its end]",
    )


def test_recordings(tmp_path: Path) -> None:
    rows = []
    placed = [("a", 1, "r1"), ("a", 2, "r1"), ("b", 1, "r2"), ("b", 2, "r3"), ("c", 1, "r4")]
    placed += [("d", 3, f"d{number}") for number in range(3)]
    for number, (label, fold, group) in enumerate(placed):
        write(tmp_path / f"{number}.wav", noise(number, 1_000))
        rows.append(f"{number}.wav,{label},{fold},{group}")
    result = audit_table(tmp_path, "path,label,fold,group", rows)
    assert result.straddling == {"r1": ("1", "2")}
    assert result.few_recordings == {"a": 1, "b": 2, "c": 1}
    assert "r1 (1, 2)" in finding(result, "1 recording stands in more than one fold")
    assert "'a', 'c' have a single recording" in finding(result, "have a single recording")
    assert "'b' 2" in finding(result, "Few recordings")


def test_unknown_recordings_left_out_rows_and_one_class(tmp_path: Path) -> None:
    for number in range(6):
        write(tmp_path / f"{number}.wav", noise(number, 1_000))
    rows = [f"{number}.wav,a" for number in range(6)]
    result = audit_table(tmp_path, "path,label", [*rows, "missing.wav,a"])
    assert not result.groups_known
    assert "`group` column" in finding(result, "Recordings are unknown")
    assert "missing.wav: the file is missing" in finding(result, "left out while reading")
    assert "Add clips of another class" in finding(result, "All clips have the label 'a'")


def test_a_folder_one_too_high_is_told_with_the_one_that_was_perhaps_meant(tmp_path: Path) -> None:
    for number, label in enumerate(("cat", "dog")):
        write(tmp_path / "animals" / label / "a.wav", noise(number, 1_000))
    told = finding(audit(read_clips(tmp_path)), "All clips have the label 'animals'")
    assert f"point at {tmp_path / 'animals'} if its folders ('cat', 'dog') are the classes" in told


def test_json_and_progress(tmp_path: Path) -> None:
    for number in range(5):
        write(tmp_path / "ab"[number % 2] / f"{number}.wav", noise(number, 100))
    seen = []
    threads = set()

    def on_progress(done: int, n: int) -> None:
        seen.append((done, n))
        threads.add(threading.get_ident())

    result = audit(read_clips(tmp_path), on_progress=on_progress)
    assert seen == [(done, 5) for done in range(1, 6)]
    assert threads == {threading.get_ident()}
    told = json.loads(json.dumps(result.as_dict()))
    assert told["clips"] == 5
    assert told["lengths"]["short"] == 5
    assert told["sample_rates"] == {"8000": 5}
    assert told["findings"] == list(result.findings)
    assert "sound_hashes" not in told
    assert audit(read_clips(tmp_path)) == result  # threads change nothing


def test_all_unreadable(tmp_path: Path) -> None:
    for name in ("a/1.wav", "b/2.wav"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("no sound")
    result = audit(read_clips(tmp_path))
    assert result.lengths is None
    assert result.sample_rates == {}
    assert len(result.unreadable) == 2


@pytest.mark.real
def test_the_real_part_of_urbansound8k() -> None:
    real = os.environ.get("SOUNDFOLD_DATA")
    if not real:
        pytest.skip("SOUNDFOLD_DATA is not set")
    clips = read_clips(real)
    result = audit(clips.subset(clips.table.index % 10 == 0))
    assert result.unreadable == result.silent == result.identical == ()
    assert result.sample_rates == {22_050: 215}
    assert result.lengths is not None
    assert result.lengths.max_s == 4.0
