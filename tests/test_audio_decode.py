"""Decoding what soundfile knows: formats, ranges, streams, sources, threads."""

import io
import itertools
import os
import pathlib
import struct
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import soundfile

import soundfold.audio
from soundfold.audio import AUDIO_SUFFIXES, SoundInfo, load, probe, read, resample, resampled_length, stream
from soundfold.errors import AudioError, PathError

pytestmark = pytest.mark.runtime

RATE = 22_050

# (container, coding, largest error of a round trip)
FORMATS = [
    ("WAV", "PCM_U8", 1 / 128),
    ("WAV", "PCM_16", 1 / 32_768),
    ("WAV", "PCM_24", 1 / 2**23),
    ("WAV", "PCM_32", 1 / 2**23),
    ("WAV", "FLOAT", 0.0),
    ("WAV", "DOUBLE", 1e-7),
    ("WAV", "IMA_ADPCM", 0.05),
    ("WAV", "MS_ADPCM", 0.05),
    ("WAV", "ULAW", 0.02),
    ("WAVEX", "PCM_16", 1 / 32_768),
    ("WAVEX", "PCM_24", 1 / 2**23),
    ("FLAC", "PCM_16", 1 / 32_768),
    ("FLAC", "PCM_24", 1 / 2**23),
    ("OGG", "VORBIS", 0.05),
    ("MP3", "MPEG_LAYER_III", 0.05),
    ("AIFF", "PCM_16", 1 / 32_768),
    ("AIFF", "PCM_24", 1 / 2**23),
]
NAMES = [f"{kind}-{coding}" for kind, coding, _ in FORMATS]
LOSSY = {"VORBIS", "MPEG_LAYER_III", "IMA_ADPCM", "MS_ADPCM"}


def tone(channels: int = 2, seconds: float = 0.5, rate: int = RATE) -> np.ndarray:
    """Return one sine a channel, an octave and 6 dB apart, so that swapped channels would show."""
    time = np.arange(round(seconds * rate)) / rate
    return np.stack([0.6 / 2**c * np.sin(2 * np.pi * 330 * 2**c * time) for c in range(channels)]).astype(np.float32)


def encode(waveform: np.ndarray, kind: str = "WAV", coding: str | None = None, rate: int = RATE) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, waveform.T, rate, format=kind, subtype=coding)
    return file.getvalue()


def joined(*args, **options) -> np.ndarray:
    return np.concatenate(list(stream(*args, **options)), axis=1)


def test_the_public_list_is_what_can_be_imported():
    public = {name for name in vars(soundfold.audio) if not name.startswith("_")}
    modules = {
        "arriving", "asked", "complaint", "decode", "folder", "gaps", "hush", "libav_in", "prompt_resampling",
        "resample", "shape", "soundfile_in", "source", "wav_in",
    }  # fmt: skip
    assert set(soundfold.audio.__all__) == (public - modules) | {"resample"}
    assert callable(soundfold.audio.resample)


def test_suffixes_are_lower_case_with_a_dot():
    assert {".wav", ".flac", ".ogg", ".mp3", ".m4a", ".aiff", ".webm", ".mp4", ".opus"} <= AUDIO_SUFFIXES
    assert all(suffix.startswith(".") and suffix == suffix.lower() for suffix in AUDIO_SUFFIXES)


@pytest.mark.parametrize(("kind", "coding", "tolerance"), FORMATS, ids=NAMES)
@pytest.mark.parametrize("channels", [1, 2])
def test_every_format_gives_the_samples_back(kind, coding, tolerance, channels):
    waveform = tone(channels)
    decoded, rate = read(encode(waveform, kind, coding))
    assert rate == RATE
    assert decoded.dtype == np.float32
    assert decoded.flags.c_contiguous
    assert decoded.shape[0] == channels
    # ADPCM fills its last block, so a little silence may follow.
    assert decoded.shape[1] - waveform.shape[1] in range(1 if "ADPCM" not in coding else 2_048)
    found, expected = decoded[:, : waveform.shape[1]], waveform
    if coding in LOSSY:  # their coders need a moment to adapt
        found, expected = found[:, 2_000:-2_000], expected[:, 2_000:-2_000]
    np.testing.assert_allclose(found, expected, atol=tolerance)


@pytest.mark.parametrize(("kind", "coding", "tolerance"), FORMATS, ids=NAMES)
def test_every_format_is_the_same_in_a_stream_and_in_ranges(kind, coding, tolerance):
    file = encode(tone(2, 0.7), kind, coding)
    whole, _ = read(file)
    for block_s in (0.0101, 0.25, 9.0):
        assert np.array_equal(joined(file, RATE, 2, block_s=block_s), whole)
    n = whole.shape[1]
    for start, stop in ((0, 100), (1, 3_000), (5_000, 5_001), (n - 2_500, n), (n - 1, n)):
        part = load(file, RATE, 2, start_s=start / RATE, end_s=stop / RATE)
        np.testing.assert_allclose(part, whole[:, start:stop], atol=2e-7 if kind == "MP3" else 0, strict=True)
        assert np.array_equal(joined(file, RATE, 2, start_s=start / RATE, end_s=stop / RATE, block_s=0.05), part)
    np.testing.assert_allclose(load(file, RATE, 2, start_s=0.3), whole[:, round(0.3 * RATE) :], atol=2e-7)


def long_and_various(seconds: int, rate: int) -> np.ndarray:
    """Return noise that comes and goes, so that coders of variable rate make frames of all sizes."""
    time = np.arange(seconds * rate) / rate
    noise = np.random.default_rng(0).standard_normal((2, len(time)))
    return (0.2 * noise * (np.sin(5 * time) > 0.9) + 0.4 * np.sin(2_000 * time) * (np.sin(2 * time) > 0)).astype(
        np.float32
    )


@pytest.mark.parametrize(
    ("kind", "coding", "options"),
    [
        ("OGG", "VORBIS", {}),
        ("MP3", "MPEG_LAYER_III", {"bitrate_mode": "VARIABLE", "compression_level": 0.6}),
        ("MP3", "MPEG_LAYER_III", {"bitrate_mode": "CONSTANT", "compression_level": 0.99}),
    ],
)
def test_ranges_of_compressed_sound_are_exact_everywhere(kind, coding, options):
    """soundfile's own seek is wrong here: in the last page of Vorbis, and after nearly every seek in MP3."""
    file = io.BytesIO()
    waveform = long_and_various(12, RATE)
    with soundfile.SoundFile(file, "w", RATE, 2, coding, format=kind, **options) as writer:
        for at in range(0, waveform.shape[1], 8_192):  # libsndfile crashes where it is given long Vorbis at once
            writer.write(waveform[:, at : at + 8_192].T)
    whole, _ = read(file)
    rng = np.random.default_rng(1)
    starts = [*rng.integers(0, whole.shape[1] - 500, 25), *range(whole.shape[1] - 5_000, whole.shape[1], 617)]
    for start in starts:
        stop = min(int(start) + 500, whole.shape[1])
        part = load(file, RATE, 2, start_s=start / RATE, end_s=stop / RATE)
        np.testing.assert_allclose(part, whole[:, start:stop], atol=5e-7, strict=True)


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "AIFF"])
def test_the_same_rate_and_channels_give_the_very_samples(kind):
    pcm = np.random.default_rng(0).integers(-(2**15), 2**15, (2, 4_000)).astype(np.int16)
    file = io.BytesIO()
    soundfile.write(file, pcm.T, RATE, format=kind, subtype="PCM_16")
    decoded = load(file, RATE, 2)
    assert np.array_equal(decoded, pcm.astype(np.float32) / 32_768)
    assert decoded.flags.c_contiguous


def test_floats_beyond_one_are_kept():
    waveform = np.array([[0.5, -3.0, 2.5]], np.float32)
    assert np.array_equal(load(encode(waveform, "WAV", "FLOAT"), RATE, 1), waveform)


@pytest.mark.parametrize("new", [8_000, 44_100, 48_000])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("found", [1, 2, 3])
@pytest.mark.parametrize("downmix", ["first", "mean"])
def test_load_is_stream_joined_and_remix_and_resample(new, channels, found, downmix):
    waveform = tone(found, 0.2)
    file = encode(waveform, "WAV", "FLOAT")
    whole = load(file, new, channels, downmix=downmix)
    assert whole.shape == (channels, resampled_length(waveform.shape[1], RATE, new))
    assert whole.dtype == np.float32
    assert whole.flags.c_contiguous
    for block_s in (0.0009, 0.03, 30.0):
        blocks = list(stream(file, new, channels, downmix=downmix, block_s=block_s))
        assert all(block.shape[0] == channels and block.shape[1] and block.flags.c_contiguous for block in blocks)
        assert np.array_equal(np.concatenate(blocks, axis=1), whole)
    mixed = soundfold.audio.remix(waveform, channels, downmix)
    np.testing.assert_allclose(whole, resample(mixed, RATE, new), atol=1e-6)


@pytest.mark.parametrize("new", [RATE, 44_100])
def test_channels_that_are_alike_can_be_joined(new):
    mono, both = tone(1, 0.2), tone(2, 0.2)
    last = np.repeat(mono, 2, axis=0)
    last[1, -1] += 0.25
    for waveform, downmix, channels in (
        (mono, "first", 1),
        (np.repeat(mono, 2, axis=0), "first", 1),
        (np.concatenate([mono, mono, both]), "first", 1),
        (both, "mean", 2),
        (np.concatenate([both, mono]), "mean", 1),
        (both, "first", 2),
        (last, "first", 2),
    ):
        file = encode(waveform, "WAV", "FLOAT")
        joined_up = load(file, new, 2, downmix=downmix, join_alike=True)
        assert joined_up.shape[0] == channels
        assert joined_up.flags.c_contiguous
        assert np.array_equal(np.broadcast_to(joined_up, (2, joined_up.shape[1])), load(file, new, 2, downmix=downmix))


def test_stereo_keeps_its_order():
    left, right = load(encode(tone(2)), 44_100, 2)
    assert left.max() == pytest.approx(0.6, abs=0.01)
    assert right.max() == pytest.approx(0.3, abs=0.01)


def test_a_clip_of_a_twentieth_of_a_second():
    for new in (8_000, 22_050, 44_100):
        assert load(encode(tone(1, 0.05)), new, 2).shape == (2, resampled_length(round(0.05 * RATE), RATE, new))


@pytest.mark.parametrize(
    "name", ["a b.wav", "Straße.wav", "звук.wav", "音.wav", "🎧 👩‍🎤.wav", "a'\"%s{}.wav", "no suffix", "x.raw"]
)
def test_names_in_any_script(tmp_path, name):
    waveform = tone(1)
    path = tmp_path / name
    path.write_bytes(encode(waveform, "WAV", "FLOAT"))
    for source in (path, str(path)):
        assert np.array_equal(load(source, RATE, 1), waveform)
        assert probe(source).sample_rate == RATE


def test_bytes_and_file_objects(tmp_path):
    waveform = tone(1)
    content = encode(waveform, "WAV", "FLOAT")
    path = tmp_path / "x.wav"
    path.write_bytes(content)
    for source in (content, bytearray(content), memoryview(content), io.BytesIO(content)):
        assert np.array_equal(load(source, RATE, 1), waveform)
    with path.open("rb") as file:
        for _ in range(2):  # it is rewound, and left open
            assert np.array_equal(load(file, RATE, 1), waveform)
    with os.fdopen(os.open(path, os.O_RDONLY), "rb") as file:  # its name is a number
        assert np.array_equal(joined(file, RATE, 1), waveform)


def test_probe_tells_what_the_header_says():
    assert probe(encode(tone(2), "WAV", "PCM_24")) == SoundInfo(RATE, 2, 0.5, "WAV", "PCM_24")
    assert probe(encode(tone(2), "WAVEX", "PCM_16")) == SoundInfo(RATE, 2, 0.5, "WAV", "PCM_16")
    assert probe(encode(tone(1), "OGG", "VORBIS")) == SoundInfo(RATE, 1, 0.5, "OGG", "VORBIS")


def test_eight_threads_get_the_same_answer(tmp_path):
    paths = []
    for kind in ("WAV", "FLAC", "OGG", "MP3"):
        paths.append(tmp_path / f"x.{kind.lower()}")
        paths[-1].write_bytes(encode(tone(2, 0.5), kind))
    alone = [load(path, 32_000, 1) for path in paths]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda path: load(path, 32_000, 1), paths * 16))
    assert all(np.array_equal(a, b) for a, b in zip(together, itertools.cycle(alone)))


def test_a_stream_holds_no_more_than_some_blocks(tmp_path):
    path = tmp_path / "long.wav"
    soundfile.write(path, np.zeros(8_000 * 400, np.int16), 8_000)
    list(stream(path, 16_000, 1, block_s=0.1, end_s=1.0))  # what is loaded once is not counted
    tracemalloc.start()
    total = sum(block.shape[1] for block in stream(path, 16_000, 2, block_s=1.0))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == 16_000 * 400
    assert peak < 1_000_000


@pytest.mark.skipif(not pathlib.Path("/proc/self/fd").exists(), reason="counts open files as Linux shows them")
def test_a_stream_that_is_left_early_closes_its_file(tmp_path):
    path = tmp_path / "x.wav"
    path.write_bytes(encode(tone(1)))
    opened = pathlib.Path("/proc/self/fd")
    before = len(list(opened.iterdir()))
    blocks = stream(path, RATE, 1, block_s=0.01)
    next(blocks)
    assert len(list(opened.iterdir())) == before + 1
    blocks.close()
    assert len(list(opened.iterdir())) == before


def test_longer_than_the_limit_is_refused():
    file = encode(tone(1, 2.0))
    message = r"^x\.wav: lasts 2\.0 s, longer than the limit of 1\.5 s\. Take a part of it, or raise the limit\.$"
    with pytest.raises(AudioError, match=message):
        load(file, 8_000, 1, max_s=1.5, name="x.wav")
    with pytest.raises(AudioError, match=message):
        read(file, max_s=1.5, name="x.wav")
    assert load(file, 8_000, 1, max_s=2.0).shape == (1, 16_000)
    assert load(file, 8_000, 1, max_s=1.5, start_s=0.5).shape == (1, 12_000)
    assert read(file, max_s=float("inf"))[0].shape == (1, 2 * RATE)


def test_longer_than_the_limit_is_refused_before_it_is_decoded(tmp_path):
    path = tmp_path / "day.wav"
    bytes_of_sound = 24 * 3_600 * 8_000 * 2
    with path.open("wb") as file:  # sparse: it takes no room on the disk
        file.write(b"RIFF" + struct.pack("<I", bytes_of_sound + 36) + b"WAVEfmt ")
        file.write(struct.pack("<IHHIIHH", 16, 1, 1, 8_000, 16_000, 2, 16))
        file.write(b"data" + struct.pack("<I", bytes_of_sound))
        file.truncate(44 + bytes_of_sound)
    tracemalloc.start()
    with pytest.raises(AudioError, match=r"lasts 86400\.0 s, longer than the limit of 600 s"):
        load(path, 44_100, 2)
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()
    assert load(path, 8_000, 1, start_s=86_399.0).shape == (1, 8_000)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start_s": 0.5}, r"^x: the range from 0\.500 to its end lies outside it, it holds 0\.500 s of sound\.$"),
        (
            {"start_s": 7.0, "end_s": 8.0},
            r"^x: the range from 7\.000 to 8\.000 s lies outside it, it holds 0\.500 s of sound\.$",
        ),
        ({"end_s": 0.6}, r"^x: the range from 0\.000 to 0\.600 s lies outside it, it holds 0\.500 s of sound\.$"),
        (
            {"start_s": 0.1, "end_s": 0.10001},
            r"^x: the range from 0\.1 to 0\.10001 s holds no sample\. Make it longer\.$",
        ),
        ({"start_s": -1.0}, r"^start_s must be at least 0, got -1\.0\. Leave it out for the beginning\.$"),
        ({"start_s": float("nan")}, r"^start_s must be at least 0, got nan\. Leave it out for the beginning\.$"),
        (
            {"start_s": 0.2, "end_s": 0.2},
            r"^end_s must be above start_s \(0\.2 s\), got 0\.2\. Leave it out for the end\.$",
        ),
        ({"end_s": 0.0}, r"^end_s must be above start_s \(0 s\), got 0\.0\. Leave it out for the end\.$"),
    ],
)
def test_ranges_that_cannot_be(options, message):
    file = encode(tone(1))
    with pytest.raises(AudioError, match=message):
        load(file, 8_000, 1, name="x", **options)
    with pytest.raises(AudioError, match=message):
        list(stream(file, 8_000, 1, name="x", **options))


def test_what_is_wanted_is_checked_at_once():
    for call in (load, stream):  # a stream need not be begun for it
        with pytest.raises(
            AudioError, match=r"^sample_rate must be at least 1 Hz, got 0\. Say 44_100, for instance\.$"
        ):
            call(b"", 0, 1)
        with pytest.raises(AudioError, match=r"^channels must be at least 1, got 0\. Say 1, or 2 for stereo\.$"):
            call(b"", 8_000, 0)
        with pytest.raises(AudioError, match=r"^downmix must be 'first' or 'mean', got 'sum'\.$"):
            call(b"", 8_000, 1, downmix="sum")
    with pytest.raises(AudioError, match=r"^block_s must be above 0, got 0\.$"):
        stream(b"", 8_000, 1, block_s=0)
    with pytest.raises(AudioError, match=r"^max_s must be above 0, got nan\. Say math\.inf for any length\.$"):
        load(b"", 8_000, 1, max_s=float("nan"))
    message = r"^x: has 2 channels, and 6 cannot be made of them\. Ask for at most 2\.$"
    with pytest.raises(AudioError, match=message):
        load(encode(tone(2)), 8_000, 6, name="x")
    with pytest.raises(AudioError, match=message):
        next(stream(encode(tone(2)), 8_000, 6, name="x"))


def test_sources_that_cannot_be_opened(tmp_path):
    with pytest.raises(PathError, match=r"nowhere\.wav: does not exist\. Check the spelling of the path\.$"):
        load(tmp_path / "nowhere.wav", 8_000, 1)
    with pytest.raises(PathError, match=r": is a folder, not a sound\. Name a file inside it\.$"):
        probe(tmp_path)
    with pytest.raises(PathError, match=r"^a\\x00b: is not a path that can be read \(.*\)\. Check the path\.$"):
        probe("a\0b")
    (tmp_path / "loop.wav").symlink_to("loop.wav")
    with pytest.raises(PathError, match=r"loop\.wav: is not a path that can be read \(too many .*links\)\. Check the"):
        probe(tmp_path / "loop.wav")
    with pytest.raises(AudioError, match=r"^source must be a path, bytes or an open file, got int\.$"):
        probe(7)
    with pytest.raises(AudioError, match=r"^/dev/zero: is a pipe or a device, not a file\."):
        probe("/dev/zero")
    with pytest.raises(AudioError, match=r"^the given file: is open as text\. Open it with mode 'rb'\.$"):
        probe(io.StringIO("x"))
    closed = io.BytesIO(b"x")
    closed.close()
    with pytest.raises(AudioError, match=r"^the given file: is a file that was closed already\. Open it again\.$"):
        probe(closed)
    read_end, write_end = os.pipe()
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe, pytest.raises(AudioError, match=r"is a stream that cannot seek\. Read it"):
        probe(pipe)


def test_a_file_that_may_not_be_read(tmp_path, monkeypatch):
    path = tmp_path / "x.wav"
    path.write_bytes(b"RIFF")

    def refuse(*_args, **_options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(pathlib.Path, "open", refuse)  # root may read everything, so the refusal is played
    with pytest.raises(
        PathError, match=r"x\.wav: cannot be read \(Permission denied\)\. Check that you may read it\.$"
    ):
        probe(path)


@pytest.mark.parametrize("container", ["WAV", "FLAC", "OGG", "MP3"])
def test_a_range_may_end_a_little_after_the_sound(container):
    file = io.BytesIO()
    soundfile.write(file, 0.1 * np.sin(np.arange(44_100)), 44_100, format=container)
    whole = load(file, 44_100, 1)
    length_s = whole.shape[1] / 44_100
    part = load(file, 44_100, 1, start_s=0.5, end_s=length_s + 0.02)
    assert part.shape[1] == whole.shape[1] - 22_050
    blocks = stream(file, 44_100, 1, start_s=0.5, end_s=length_s + 0.02, block_s=0.1)
    assert np.array_equal(np.concatenate(list(blocks), axis=1), part)
    with pytest.raises(
        AudioError, match=r"^x: the range from 0\.500 to 1\.\d* s lies outside it, it holds 1\.\d* s of sound"
    ):
        load(file, 44_100, 1, start_s=0.5, end_s=length_s + 0.2, name="x")
    with pytest.raises(AudioError, match="lies outside it"):
        load(file, 44_100, 1, start_s=length_s + 0.01, end_s=length_s + 0.02)
