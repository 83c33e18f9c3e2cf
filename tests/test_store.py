"""The waveform store: exact, complete, decoded once, and never fooled by a kill or a changed file."""

import errno
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from filelock import FileLock

from conftest import RATE, tone, write_folders
from soundfold.audio import load
from soundfold.data import by_fold, find_leaks, open_store, read_clips
from soundfold.data.clips import Clips
from soundfold.data.store import WaveformStore
from soundfold.data.store_clip import _quantised
from soundfold.data.store_source import Source, stamp_of
from soundfold.errors import DataError, PathError
from soundfold.recipe import SoundRecipe, build_recipe


def sound(**changes: object) -> SoundRecipe:
    return build_recipe({"sound": {"sample_rate": RATE, "channels": 2, "length_s": 1.0} | changes}).sound


def opened(clips: Clips, cache: Path, **changes: object) -> WaveformStore:
    return open_store(clips, sound(**changes), cache=cache)


@pytest.fixture
def clips(tmp_path: Path) -> Clips:
    return read_clips(write_folders(tmp_path / "sounds"))


def assert_whole(store: WaveformStore, clips: Clips) -> None:
    """Every clip in the store is what decoding its file gives, to the last of its 16 bits."""
    for row, path in enumerate(clips.table["path"]):
        expected = load(path, store.sound.sample_rate, store.sound.channels)
        stored = np.broadcast_to(store.waveform(row), expected.shape)
        bound = 2.0 ** (int(store.index["exponent"].iloc[row]) - 15)
        np.testing.assert_allclose(stored, expected, rtol=0, atol=bound)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that were decoded, in the order of asking."""
    asked: list[str] = []

    def spy(path: str, *args: object, **kwargs: object) -> np.ndarray:
        asked.append(path)
        return load(path, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr("soundfold.data.store_clip.load", spy)
    return asked


def test_holds_every_clip_and_keeps_mono_as_one_channel(clips: Clips, tmp_path: Path) -> None:
    store = opened(clips, tmp_path / "cache")
    assert len(store) == len(clips)
    assert store.usable.all()
    assert store.waveform(0).shape[0] == 1
    assert_whole(store, clips)


def test_resamples_to_the_recipes_rate(clips: Clips, tmp_path: Path) -> None:
    assert_whole(opened(clips, tmp_path / "cache", sample_rate=11_025), clips)


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_U8"])
@pytest.mark.parametrize("level", [1.0, 0.01])
def test_sixteen_bit_files_at_the_recipes_rate_are_kept_exactly(tmp_path: Path, subtype: str, level: float) -> None:
    folder = tmp_path / "sounds"
    for label in ("a", "b"):
        (folder / label).mkdir(parents=True)
        wave = np.random.default_rng(0).uniform(-level, level, (4000, 2))
        wave[0] = -level
        soundfile.write(folder / label / "x.wav", wave, RATE, subtype=subtype)
    clips = read_clips(folder)
    store = opened(clips, tmp_path / "cache")
    np.testing.assert_array_equal(store.waveform(0), load(clips.table["path"].iloc[0], RATE, 2))


def test_loud_and_quiet_float_files_keep_their_detail(tmp_path: Path) -> None:
    folder = tmp_path / "sounds"
    for label, level in (("loud", 7.3), ("quiet", 1e-4)):
        (folder / label).mkdir(parents=True)
        wave = level * np.random.default_rng(1).uniform(-1, 1, 4000)
        soundfile.write(folder / label / "x.wav", wave, RATE, subtype="FLOAT")
    clips = read_clips(folder)
    store = opened(clips, tmp_path / "cache")
    for row, path in enumerate(clips.table["path"]):
        expected = load(path, RATE, 1)
        np.testing.assert_allclose(store.waveform(row), expected, rtol=0, atol=2**-15 * np.abs(expected).max())


@pytest.mark.parametrize("bound", [2.0**-30, 3e-5, 0.4, 1.0, 7.0])
def test_samples_are_the_nearest_whole_numbers_ties_to_even(bound: float) -> None:
    exponent = int(np.ceil(np.log2(bound)))
    step = 2.0 ** (exponent - 15)
    ties = (np.arange(-64, 64) + 0.5) * step
    random = np.random.default_rng(0).uniform(-bound, bound, 3000)
    ends = np.array([-(2.0**exponent), 2.0**exponent, 32_767.5 * step, 0.0])
    waveform = np.concatenate([ties, random, ends]).astype(np.float32).reshape(2, -1)
    expected = np.minimum(np.rint(waveform.astype(np.float64) / step), 32_767)
    np.testing.assert_array_equal(_quantised(waveform.copy(), exponent, 2.0**exponent), expected)


def test_second_opening_decodes_and_reads_nothing(
    clips: Clips, tmp_path: Path, decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = opened(clips, tmp_path / "cache")
    assert sorted(decoded) == sorted(clips.table["path"])
    monkeypatch.setattr("soundfold.data.store_source._read", None)
    again = opened(clips, tmp_path / "cache")
    assert again.identity == first.identity
    np.testing.assert_array_equal(again.waveform(3), first.waveform(3))
    assert len(decoded) == len(clips)


def touch(root: Path) -> Path:
    for file in root.rglob("*.wav"):
        os.utime(file)
    return root


def forbid_writing(root: Path) -> Path:
    for file in root.rglob("*.wav"):
        file.chmod(0o444)
    return root


def rename_files(root: Path) -> Path:
    for file in sorted(root.rglob("*.wav")):
        file.rename(file.with_name(f"new {file.name}"))
    return root


def move(root: Path) -> Path:
    (root.parent / "elsewhere").mkdir()
    return root.rename(root.parent / "elsewhere" / "other name")


def copy(root: Path) -> Path:
    return shutil.copytree(root, root.parent / "copy")


def copy_and_lose(root: Path) -> Path:
    other = copy(root)
    shutil.rmtree(root)
    return other


@pytest.mark.parametrize("change", [touch, forbid_writing, rename_files, move, copy, copy_and_lose])
def test_the_same_content_is_not_decoded_again(
    clips: Clips,
    tmp_path: Path,
    decoded: list[str],
    change: Callable[[Path], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Path(clips.table["path"].iloc[0]).write_text("this is not a sound")
    first = opened(clips, tmp_path / "cache")
    size = held(tmp_path / "cache")
    decoded.clear()
    time.sleep(0.01)  # the clock of file times ticks slowly
    changed = read_clips(change(clips.root))
    second = opened(changed, tmp_path / "cache")
    assert decoded == []
    assert held(tmp_path / "cache") == size
    assert second.folder == first.folder
    assert second.identity == first.identity
    assert second.left_out(changed)[0].reason == first.left_out(clips)[0].reason
    for row in range(1, len(clips)):
        np.testing.assert_array_equal(second.waveform(row), first.waveform(row))
    monkeypatch.setattr("soundfold.data.store_source._read", None)  # its times are known now
    assert opened(changed, tmp_path / "cache").identity == first.identity


def test_a_changed_file_is_decoded_anew_and_only_that_one(clips: Clips, tmp_path: Path, decoded: list[str]) -> None:
    first = opened(clips, tmp_path / "cache")
    decoded.clear()
    changed = clips.table["path"].iloc[4]
    status = Path(changed).stat()
    soundfile.write(changed, tone(1000, 0.5, seed=99), RATE, subtype="PCM_16")
    os.utime(changed, ns=(status.st_atime_ns, status.st_mtime_ns))  # not even a forged time hides the change
    second = opened(clips, tmp_path / "cache")
    assert decoded == [changed]
    assert second.identity != first.identity
    assert_whole(second, clips)


def test_files_that_exchange_their_content_exchange_their_samples(
    clips: Clips, tmp_path: Path, decoded: list[str]
) -> None:
    first = opened(clips, tmp_path / "cache")
    decoded.clear()
    one, other = (Path(clips.table["path"].iloc[row]) for row in (1, 9))
    one.rename(tmp_path / "aside")
    other.rename(one)
    (tmp_path / "aside").rename(other)
    second = opened(clips, tmp_path / "cache")
    assert decoded == []
    np.testing.assert_array_equal(second.waveform(1), first.waveform(9))
    np.testing.assert_array_equal(second.waveform(9), first.waveform(1))


def test_the_same_content_under_many_names_is_kept_once(tmp_path: Path, decoded: list[str]) -> None:
    folder = write_folders(tmp_path / "sounds", clips=2)
    size = 12 * RATE // 2 * 2
    for file in list(folder.rglob("*.wav")):
        for number in range(3):
            shutil.copy(file, file.with_name(f"{file.stem} again {number}.wav"))
    clips = read_clips(folder)
    store = open_store(clips, sound(), cache=tmp_path / "cache", workers=1)
    assert len(clips) == 48
    assert len(decoded) == 12
    assert held(tmp_path / "cache") == size
    assert_whole(store, clips)
    many = open_store(clips, sound(max_clip_s=9.0), cache=tmp_path / "cache", workers=8)
    assert (many.folder / "samples.i16").stat().st_size == size
    assert many.identity == store.identity


def test_the_same_content_in_two_threads_at_once_is_kept_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for label in ("a", "b"):
        (tmp_path / "sounds" / label).mkdir(parents=True)
        soundfile.write(tmp_path / "sounds" / label / "x.wav", tone(500, 0.5, 0), RATE, subtype="PCM_16")
    both = threading.Barrier(2)

    def together(*args: object, **kwargs: object) -> np.ndarray:
        both.wait(60)
        return load(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr("soundfold.data.store_clip.load", together)
    clips = read_clips(tmp_path / "sounds")
    assert_whole(open_store(clips, sound(), cache=tmp_path / "cache", workers=2), clips)
    assert held(tmp_path / "cache") == RATE // 2 * 2


def test_data_sets_share_a_store_and_keep_apart(tmp_path: Path, decoded: list[str]) -> None:
    """Two data sets whose folders and files are called alike, then a table elsewhere that names sounds of both."""
    sets = []
    for place in ("one", "two"):
        clips = read_clips(write_folders(tmp_path / place / "sounds", clips=2))
        if place == "two":
            for row, path in enumerate(clips.table["path"]):
                soundfile.write(path, tone(700, 0.4, seed=7000 + row), RATE, subtype="PCM_16")
        sets.append(clips)
    stores = [opened(clips, tmp_path / "cache") for clips in sets]
    assert stores[0].folder == stores[1].folder
    assert stores[0].identity != stores[1].identity
    for clips, store in zip(sets, stores, strict=True):
        assert_whole(store, clips)
    decoded.clear()
    lines = [f"{clips.table['path'].iloc[row]},{row % 2}" for clips in sets for row in range(4)]
    (tmp_path / "choice.csv").write_text("\n".join(["path,label", *lines]))
    choice = read_clips(tmp_path / "choice.csv")
    assert_whole(opened(choice, tmp_path / "cache"), choice)
    assert [opened(clips, tmp_path / "cache").identity for clips in sets] == [store.identity for store in stores]
    assert decoded == []


def test_a_file_is_hashed_once_however_many_clips_are_cut_from_it(
    tmp_path: Path, decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import soundfold.data.store_source as module

    soundfile.write(tmp_path / "long.wav", tone(440, 10.0, 0), RATE, subtype="PCM_16")
    rows = [f"long.wav,{'ab'[number % 2]},{number / 10},{number / 10 + 0.1}" for number in range(90)]
    (tmp_path / "clips.csv").write_text("\n".join(["path,label,start,end", *rows]))
    read: list[str] = []
    true_read = module._read
    monkeypatch.setattr(module, "_read", lambda path: read.append(path) or true_read(path))
    clips = read_clips(tmp_path / "clips.csv")
    store = open_store(clips, sound(), cache=tmp_path / "cache", workers=4)
    assert read == [str(tmp_path / "long.wav")]
    whole = load(tmp_path / "long.wav", RATE, 1)
    for row in range(90):
        np.testing.assert_array_equal(store.waveform(row), whole[:, 800 * row : 800 * (row + 1)])
    read.clear()
    decoded.clear()
    os.utime(tmp_path / "long.wav")
    assert open_store(clips, sound(), cache=tmp_path / "cache", workers=4).identity == store.identity
    assert (len(read), decoded) == (1, [])


@pytest.mark.parametrize("large", [False, True])
def test_the_hash_is_of_all_bytes_and_of_the_ending(
    tmp_path: Path, large: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if large:
        monkeypatch.setattr("soundfold.data.store_source._AT_ONCE_BYTES", 10)
        monkeypatch.setattr("soundfold.data.store_source._BLOCK_BYTES", 1000)
    hashes = set()
    for name, content in (("a.wav", bytes(5000)), ("a.WAV", bytes(5001)), ("a.au", bytes(5000)), ("a", bytes(5000))):
        path = tmp_path / name
        path.write_bytes(content)
        (tmp_path / f"b{path.suffix.lower()}").write_bytes(content)
        answers = [
            Source(str(file), stamp_of(str(file))).content() for file in (path, tmp_path / f"b{path.suffix.lower()}")
        ]
        assert answers[0] == answers[1]
        assert answers[0][1] == (None if large else content)
        hashes.add(answers[0][0])
    assert len(hashes) == 4
    gone = Source(str(tmp_path / "gone"), stamp_of(str(tmp_path / "gone")))
    assert gone.content() == ("", None)


@pytest.mark.skipif(os.name == "nt", reason="needs pipes")
def test_a_pipe_among_the_sounds_is_not_waited_for(clips: Clips, tmp_path: Path) -> None:
    path = Path(clips.table["path"].iloc[0])
    path.unlink()
    os.mkfifo(path)
    store = opened(clips, tmp_path / "cache")
    assert "pipe" in store.left_out(clips)[0].reason


def test_a_file_that_changes_while_it_is_decoded_is_not_remembered(
    clips: Clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the sound of the one content would be found under the other for ever."""
    path = clips.table["path"].iloc[2]
    before = Path(path).read_bytes()

    def changing(asked: str, *args: object, **kwargs: object) -> np.ndarray:
        if asked == path:
            soundfile.write(path, tone(900, 0.5, seed=5), RATE, subtype="PCM_16")
            kwargs["content"] = None
        return load(asked, *args, **kwargs)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr("soundfold.data.store_clip.load", changing)
        opened(clips, tmp_path / "cache")
    Path(path).write_bytes(before)
    assert_whole(opened(clips, tmp_path / "cache"), clips)


def test_a_whole_store_is_opened_while_another_fills_it(clips: Clips, tmp_path: Path) -> None:
    first = opened(clips, tmp_path / "cache")
    with FileLock(first.folder / "lock"):
        assert opened(clips, tmp_path / "cache").identity == first.identity


@pytest.mark.parametrize("damage", ["empty", "cut", "garbled", "samples cut", "samples gone"])
def test_what_is_damaged_is_made_again(clips: Clips, tmp_path: Path, damage: str) -> None:
    first = opened(clips, tmp_path / "cache")
    index, samples = first.folder / "index.parquet", first.folder / "samples.i16"
    content = index.read_bytes()
    if damage == "samples gone":
        samples.unlink()
    elif damage == "samples cut":
        os.truncate(samples, 30_000)
    elif damage == "garbled":
        middle = len(content) // 3
        index.write_bytes(content[:middle] + bytes(255 - byte for byte in content[middle:-200]) + content[-200:])
    else:
        index.write_bytes(content[: len(content) // 2 if damage == "cut" else 0])
    again = opened(clips, tmp_path / "cache")
    assert again.identity == first.identity
    assert_whole(again, clips)
    assert held(tmp_path / "cache") == len(clips) * RATE // 2 * 2
    assert opened(clips, tmp_path / "cache").identity == first.identity


def test_it_is_told_how_far_it_is(clips: Clips, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    open_store(clips, sound(), cache=tmp_path / "cache", on_progress=lambda *now: told.append(now))
    assert told == sorted(told)
    assert told[-1] == (len(clips), len(clips))


@pytest.mark.skipif(os.name == "nt", reason="needs links")
def test_the_same_data_by_another_way_is_the_same(
    clips: Clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = opened(clips, tmp_path / "cache")
    (tmp_path / "link").symlink_to(clips.root)
    monkeypatch.setattr("soundfold.data.store_source._read", None)
    again = opened(read_clips(tmp_path / "link"), tmp_path / "cache")
    assert again.folder == first.folder
    assert again.identity == first.identity


def test_parts_of_a_file_are_clips_of_their_own(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "long.wav", tone(440, 3.0, 0), RATE, subtype="PCM_16")
    table = "path,label,start,end\nlong.wav,a,0,1\nlong.wav,b,1.5,2\nlong.wav,a,2.25,\n"
    (tmp_path / "clips.csv").write_text(table)
    clips = read_clips(tmp_path / "clips.csv")
    store = opened(clips, tmp_path / "cache")
    assert store.index["samples"].tolist() == [8000, 4000, 6000]
    np.testing.assert_array_equal(store.waveform(1)[0], load(tmp_path / "long.wav", RATE, 1)[0, 12_000:16_000])


def test_bad_clips_are_told_and_kept_out(clips: Clips, tmp_path: Path) -> None:
    paths = clips.table["path"]
    Path(paths.iloc[0]).write_text("this is not a sound")
    Path(paths.iloc[1]).write_bytes(b"")
    soundfile.write(paths.iloc[2], np.full(100, np.nan), RATE, subtype="FLOAT")
    Path(paths.iloc[3]).unlink()
    soundfile.write(paths.iloc[5], np.zeros(RATE * 3), RATE, subtype="PCM_16")
    store = opened(clips, tmp_path / "cache", max_clip_s=2.0)
    left_out = store.left_out(clips)
    assert [clip.path for clip in left_out] == [paths.iloc[row] for row in (0, 1, 2, 3, 5)]
    for clip, reason in zip(left_out, ("text", "empty", "NaN", "does not exist", "2 s"), strict=True):
        assert reason.lower() in clip.reason.lower(), clip.reason
    with pytest.raises(DataError, match=rf"^{re.escape(paths.iloc[0])}: .*[^.]\. Keep it out"):
        store.waveform(0)


def test_not_one_good_clip_is_an_error_that_names_the_first(clips: Clips, tmp_path: Path) -> None:
    for path in clips.table["path"]:
        Path(path).write_text("text")
    with pytest.raises(
        DataError,
        match=f"none of the {len(clips)} clips can be used; the first: {re.escape(clips.table['path'].iloc[0])}: ",
    ):
        opened(clips, tmp_path / "cache")


def test_full_disk_stops_the_build_and_the_next_one_goes_on(
    clips: Clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("soundfold.data.store_build.os.fsync", full)
        with pytest.raises(
            PathError, match=r"samples\.i16: no space left\. Free some, or name another .*SOUNDFOLD_CACHE"
        ):
            opened(clips, tmp_path / "cache")
    assert_whole(opened(clips, tmp_path / "cache"), clips)


@pytest.mark.parametrize("error", [PathError("gone"), OSError(errno.EMFILE, "Too many open files")])
def test_a_problem_of_the_system_is_tried_again_and_one_of_the_sound_is_not(
    clips: Clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    paths = clips.table["path"].tolist()
    Path(paths[0]).write_text("this is not a sound")
    asked: list[str] = []

    def failing(path: str, *args: object, **kwargs: object) -> np.ndarray:
        asked.append(path)
        if path == paths[1]:
            raise error
        return load(path, *args, **kwargs)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr("soundfold.data.store_clip.load", failing)
        for expected in (paths, paths[1:2]):
            asked.clear()
            assert np.flatnonzero(~opened(clips, tmp_path / "cache").usable).tolist() == [0, 1]
            assert sorted(asked) == sorted(expected)
    assert np.flatnonzero(~opened(clips, tmp_path / "cache").usable).tolist() == [0]


def test_a_missing_file_that_comes_back_is_decoded(clips: Clips, tmp_path: Path) -> None:
    path = Path(clips.table["path"].iloc[2])
    path.rename(tmp_path / "away")
    assert not opened(clips, tmp_path / "cache").usable[2]
    (tmp_path / "away").rename(path)
    assert_whole(opened(clips, tmp_path / "cache"), clips)


def test_a_slow_clip_holds_up_no_other_and_no_thread_holds_two(
    clips: Clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = clips.table["path"].tolist()
    done: list[str] = []
    at_once, most, others = 0, 0, threading.Event()
    counting = threading.Lock()

    def slow(path: str, *args: object, **kwargs: object) -> np.ndarray:
        nonlocal at_once, most
        with counting:
            at_once += 1
            most = max(most, at_once)
        if path == paths[0]:
            assert others.wait(60), f"the others waited after {len(done)}"
        waveform = load(path, *args, **kwargs)  # type: ignore[arg-type]
        with counting:
            at_once -= 1
            done.append(path)
            if len(done) == len(paths) - 1:
                others.set()
        return waveform

    monkeypatch.setattr("soundfold.data.store_clip.load", slow)
    assert_whole(open_store(clips, sound(), cache=tmp_path / "cache", workers=3), clips)
    assert 2 <= most <= 3


def test_a_build_that_is_stopped_ends_soon_and_the_next_one_goes_on(
    clips: Clips, tmp_path: Path, decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(path: str, *args: object, **kwargs: object) -> np.ndarray:
        time.sleep(0.05)
        decoded.append(path)
        return load(path, *args, **kwargs)  # type: ignore[arg-type]

    def stop(done: int, _: int) -> None:
        if done:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("soundfold.data.store_clip.load", slow)
        patch.setattr("soundfold.data.store_fill._JOURNAL_EVERY_S", 0.0)
        with pytest.raises(KeyboardInterrupt):
            open_store(clips, sound(), cache=tmp_path / "cache", workers=2, on_progress=stop)
    assert 0 < len(decoded) < len(clips) / 2
    assert_whole(opened(clips, tmp_path / "cache"), clips)


def test_silence_is_no_identical_sound_and_still_told_apart_by_its_length(tmp_path: Path) -> None:
    folder = write_folders(tmp_path / "sounds", clips=2)
    identities = set()
    for samples in (4000, 2000):
        for fold in (1, 2):
            soundfile.write(folder / f"fold{fold}" / "low" / "silent.wav", np.zeros(samples), RATE)
        clips = read_clips(folder)
        store = opened(clips, tmp_path / "cache")
        identities.add(store.identity)
        silent = clips.table["path"].str.endswith("silent.wav")
        assert (store.index["sound_hash"] == "").tolist() == silent.tolist()
        assert store.usable.all()
        split = by_fold(clips, "1")
        assert find_leaks(clips, split.train, split.test, store.index["sound_hash"].tolist()).identical_clips == 0
    assert len(identities) == 2


def test_the_same_sound_at_another_level_or_twice_as_a_channel_is_another_sound(tmp_path: Path) -> None:
    wave = (tone(500, 0.5, seed=0) * 10_000).astype(np.int16)
    sounds = {
        "one": wave,
        "twice": 2 * wave,
        "pair": np.stack([wave[::2], wave[1::2]]),
        "row": [*wave[::2], *wave[1::2]],
    }
    for name, samples in sounds.items():
        for label in ("a", "b"):
            (tmp_path / "sounds" / label).mkdir(parents=True, exist_ok=True)
            file = tmp_path / "sounds" / label / f"{name}.{'wav' if label == 'a' else 'flac'}"
            soundfile.write(file, np.asarray(samples, np.int16).T, RATE)
    clips = read_clips(tmp_path / "sounds")
    index = opened(clips, tmp_path / "cache").index
    assert index["content"].nunique() == 8
    assert index["sound_hash"].nunique() == 4


def test_sounds_that_changed_do_not_fill_the_disk(
    clips: Clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("soundfold.data.store_index._DEAD_BYTES", 1000)
    first = opened(clips, tmp_path / "cache")
    before = first.waveform(5)
    live = held(tmp_path / "cache")
    for change in range(1, 5):
        for row, path in enumerate(clips.table["path"]):
            soundfile.write(path, tone(500, 0.5, seed=100 * change + row), RATE, subtype="PCM_16")
        store = opened(clips, tmp_path / "cache")
        assert_whole(store, clips)
        assert held(tmp_path / "cache") <= 3 * live
    assert_whole(opened(clips, tmp_path / "cache"), clips)
    assert len(list(store.folder.glob("samples*"))) == 1
    assert not (store.folder / "samples.i16").exists()
    np.testing.assert_array_equal(first.waveform(5), before)  # the old file is gone, and still mapped


def test_shared_samples_count_once_when_dead_ones_are_cleared_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted per clip, 12 live sounds under 4 names each would hide any number of dead ones."""
    monkeypatch.setattr("soundfold.data.store_index._DEAD_BYTES", 1000)
    folder = write_folders(tmp_path / "sounds", clips=2)
    for file in list(folder.rglob("*.wav")):
        for number in range(3):
            shutil.copy(file, file.with_name(f"{file.stem} again {number}.wav"))
    clips = read_clips(folder)
    live = 12 * RATE // 2 * 2
    for change in range(4):
        for number, names in enumerate(clips.table.groupby(clips.table.index // 4)["path"]):
            for path in names[1]:
                soundfile.write(path, tone(500, 0.5, seed=100 * change + number), RATE, subtype="PCM_16")
        store = opened(clips, tmp_path / "cache")
        assert_whole(store, clips)
        assert live <= held(tmp_path / "cache") <= 3 * live
    assert_whole(opened(clips, tmp_path / "cache"), clips)


def test_sounds_of_a_data_set_that_is_gone_make_room_and_those_of_others_stay(
    clips: Clips, tmp_path: Path, decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    other, little = (
        read_clips(write_folders(tmp_path / name, clips=1, seconds=seconds))
        for name, seconds in (("other", 0.25), ("little", 0.2))
    )
    stores = [opened(each, tmp_path / "cache") for each in (clips, other, little)]
    monkeypatch.setattr("soundfold.data.store_index._DEAD_BYTES", 1000)
    shutil.rmtree(clips.root)
    decoded.clear()
    changed = little.table["path"].iloc[0]
    soundfile.write(changed, tone(800, 0.2, seed=1), RATE, subtype="PCM_16")
    assert_whole(opened(little, tmp_path / "cache"), little)
    assert held(tmp_path / "cache") == (len(little) * RATE // 5 + len(other) * RATE // 4) * 2
    again = opened(other, tmp_path / "cache")
    assert again.identity == stores[1].identity
    assert_whole(again, other)
    assert decoded == [changed]


@pytest.mark.skipif(os.name == "nt", reason="needs limits of Unix")
def test_a_write_that_fails_names_its_file(clips: Clips, tmp_path: Path) -> None:
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(PathError, match=r"samples\.i16: may not grow further.* name another folder"):
            opened(clips, tmp_path / "cache")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert_whole(opened(clips, tmp_path / "cache"), clips)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_unwritable_cache_is_told(clips: Clips, tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir(mode=0o500)
    with pytest.raises(PathError, match=r"may not be written\. .*name another folder for kept results"):
        opened(clips, tmp_path / "cache")


def test_two_builders_at_once_make_one_store(clips: Clips, tmp_path: Path) -> None:
    stores: list[WaveformStore] = []
    threads = [threading.Thread(target=lambda: stores.append(opened(clips, tmp_path / "cache"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({store.identity for store in stores}) == 1
    held = sum(store.index["samples"].sum() for store in stores[:1]) * 2
    assert (stores[0].folder / "samples.i16").stat().st_size == held


BUILD = """
import sys
import soundfold.data.store_fill as filling
from soundfold.data import open_store, read_clips
from soundfold.recipe import build_recipe
filling._JOURNAL_EVERY_S = filling._TELL_EVERY_S = 0.0
recipe = build_recipe({"sound": {"sample_rate": 44100, "length_s": 1.0}})
open_store(read_clips(sys.argv[1]), recipe.sound, cache=sys.argv[2])
"""


def test_ten_kills_at_random_moments_leave_a_store_that_resumes(tmp_path: Path) -> None:
    folder = write_folders(tmp_path / "sounds", clips=60, seconds=1.0)
    clips = read_clips(folder)
    recipe = build_recipe({"sound": {"sample_rate": 44_100, "length_s": 1.0}})
    whole = len(clips) * 44_100 * 2
    generator = np.random.default_rng(0)
    sizes = []
    for kill in range(10):
        target = whole * (kill + generator.random()) / 10
        with subprocess.Popen([sys.executable, "-c", BUILD, str(folder), str(tmp_path / "cache")]) as process:
            while held(tmp_path / "cache") < target and process.poll() is None:
                time.sleep(0.0005)
            process.send_signal(signal.SIGKILL)
        sizes.append(held(tmp_path / "cache"))
    assert sum(0 < size < whole for size in sizes) >= 3, f"hardly a kill came in the middle: {sizes}"
    store = open_store(clips, recipe.sound, cache=tmp_path / "cache")
    clean = open_store(clips, recipe.sound, cache=tmp_path / "clean")
    assert store.identity == clean.identity
    assert held(tmp_path / "cache") == whole
    for row in range(0, len(clips), 17):
        np.testing.assert_array_equal(store.waveform(row), clean.waveform(row))


def held(cache: Path) -> int:
    """Return the bytes of samples in the only store of a cache."""
    return sum(file.stat().st_size for file in cache.glob("*/samples*.i16"))
