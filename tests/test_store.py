"""The waveform store: exact, complete, decoded once, and never fooled by a kill or a changed file."""

import errno
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from conftest import RATE, tone, write_folders
from soundfold.audio import load
from soundfold.data import by_fold, find_leaks, open_store, read_clips
from soundfold.data.clips import Clips
from soundfold.data.store import WaveformStore
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


def test_second_opening_decodes_nothing(clips: Clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = opened(clips, tmp_path / "cache")

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("decoded again")

    monkeypatch.setattr("soundfold.data.store_clip.load", refuse)
    again = opened(clips, tmp_path / "cache")
    assert again.identity == first.identity
    np.testing.assert_array_equal(again.waveform(3), first.waveform(3))


def test_a_changed_file_is_decoded_anew_and_only_that_one(
    clips: Clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = opened(clips, tmp_path / "cache")
    changed = clips.table["path"].iloc[4]
    status = Path(changed).stat()
    soundfile.write(changed, tone(1000, 0.5, seed=99), RATE, subtype="PCM_16")
    os.utime(changed, ns=(status.st_atime_ns, status.st_mtime_ns))  # not even a forged time hides the change
    decoded: list[str] = []

    def spy(path: str, *args: object, **kwargs: object) -> np.ndarray:
        decoded.append(path)
        return load(path, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr("soundfold.data.store_clip.load", spy)
    second = opened(clips, tmp_path / "cache")
    assert decoded == [changed]
    assert second.identity != first.identity
    assert_whole(second, clips)


@pytest.mark.skipif(os.name == "nt", reason="needs links")
def test_the_same_data_by_another_way_is_the_same(
    clips: Clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = opened(clips, tmp_path / "cache")
    (tmp_path / "link").symlink_to(clips.root)
    monkeypatch.setattr("soundfold.data.store_clip.load", None)
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


def test_what_waits_for_a_slow_clip_is_bounded_by_its_bytes(
    clips: Clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = clips.table["path"].tolist()
    begun: list[str] = []
    meanwhile: list[int] = []

    def slow(path: str, *args: object, **kwargs: object) -> np.ndarray:
        begun.append(path)
        if path == paths[0]:
            time.sleep(0.2)
            meanwhile.append(len(begun))
        return load(path, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr("soundfold.data.store_build._WAITING_BYTES", 2 * 2 * RATE // 2)  # two clips
    monkeypatch.setattr("soundfold.data.store_clip.load", slow)
    assert_whole(open_store(clips, sound(), cache=tmp_path / "cache", workers=2), clips)
    assert meanwhile[0] <= 3


def test_a_build_that_is_stopped_while_clips_wait_ends(
    clips: Clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(done: int, _: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("soundfold.data.store_build._WAITING_BYTES", 1)
    with pytest.raises(KeyboardInterrupt):
        open_store(clips, sound(), cache=tmp_path / "cache", workers=3, on_progress=stop)
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
import soundfold.data.store_build as build
from soundfold.data import open_store, read_clips
from soundfold.recipe import build_recipe
build._JOURNAL_EVERY_S = 0.0
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
