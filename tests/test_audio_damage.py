"""Files that are broken, lie or are no sound: what is there is taken, or one line says what is wrong."""

import contextlib
import ctypes
import io
import os
import struct
import sys
import tracemalloc

import numpy as np
import pytest
import soundfile

from soundfold.audio import load, probe, read, stream
from soundfold.audio.complaint import looks_like
from soundfold.audio.hush import hushed
from soundfold.errors import AudioError

pytestmark = pytest.mark.runtime

RATE = 8_000


def encode(kind: str, coding: str | None = None, seconds: float = 2.0) -> bytes:
    time = np.arange(round(seconds * RATE)) / RATE
    noise = 0.01 * np.random.default_rng(0).standard_normal(len(time))
    file = io.BytesIO()
    soundfile.write(file, 0.4 * np.sin(2 * np.pi * 300 * time) + noise, RATE, format=kind, subtype=coding)
    return file.getvalue()


def one_line_or_samples(call, *args, **options) -> bool:
    """Tell whether a call gives samples, or an AudioError of one line; any other exception goes through."""
    try:
        call(*args, **options)
    except AudioError as error:
        return "\n" not in str(error) and "Error opening" not in str(error)
    return True


def flac_that_promises(frames: int) -> bytes:
    file = bytearray(encode("FLAC"))
    rest = int.from_bytes(file[18:26], "big") >> 36 << 36
    file[18:26] = (rest | frames).to_bytes(8, "big")
    return bytes(file)


def wav_that_promises(size: int) -> bytes:
    file = bytearray(encode("WAV"))
    struct.pack_into("<I", file, 40, size)
    return bytes(file)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"hello, this is\nno sound at all", r"it begins with text \('hello, this is no sound at all'\)"),
        ("Привет, мир, это не звук".encode(), r"it begins with text \('Привет, мир, это не звук'\)"),
        (b"<!DOCTYPE html><html>404</html>", r"it begins with a web page \('<!DOCTYPE html><html>404</html>'\)"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n",
            r"it is a Git LFS pointer, not the file itself \(.*\)",
        ),
        (b"\x89PNG\r\n\x1a\n" + bytes(40), r"it is a PNG picture"),
        (b"PK\x03\x04" + bytes(40), r"it is a ZIP archive"),
        (b"#EXTM3U\n#EXTINF:3,\n/etc/passwd\n#EXT-X-ENDLIST\n", r"it is a playlist"),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", r"it begins with text \('ffconcat version 1.0 .*'\)"),
        (b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X" + bytes(40), r"it is a macOS side file \(AppleDouble\), and .*"),
        (bytes(1_000), r"it holds nothing but zeros, as after a broken download"),
        (b"\x81\x9f\x03\xee" * 20, r"its first bytes \(81 9f 03 ee\) are those of no known kind of sound"),
        (encode("WAV")[:30], r"its WAV header is truncated"),
        (encode("FLAC")[:20], r"its FLAC header is damaged, or the file was cut off"),
        (encode("OGG")[:40], r"its OGG header is damaged, or the file was cut off"),
        (encode("AIFF")[:14], r"its AIFF header is damaged, or the file was cut off"),
        (b"\x00\x00\x00\x1cftypM4A " + bytes(40), r"its MP4 header is damaged, or the file was cut off"),
        (b"\xff\xfb\x90\x00" + bytes(30), r"it begins as MP3 or AAC do, but is damaged or was cut off"),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{len(value)} bytes",  # the same in every process
)
def test_what_is_no_sound_is_told(content, what, tmp_path, capfd):
    path = tmp_path / "x.wav"
    path.write_bytes(content)
    for source, label in ((path, r".*x\.wav"), (content, "the given bytes")):
        for call in (probe, read, lambda given: load(given, RATE, 1), lambda given: list(stream(given, RATE, 1))):
            pattern = rf"^{label}: is not a sound that can be decoded: {what}\. Remove it or fetch it again\.$"
            with pytest.raises(AudioError, match=pattern):
                call(source)
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (
            b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x55\x01" + bytes(14) + b"data\0\0\0\0",
            "its WAV header is damaged, or its coding (number 341) is not known",
        ),
        (b"RIFF\0\0\0\0WAVEdata\0\0\0\0", "its WAV header has no 'fmt ' part"),
        (b"RIFF\0\0\0\0WAVELIST\xff\xff\0\0" + bytes(9_000), "its WAV header is truncated"),
        (b"RIFF", "its WAV header is truncated"),
        (b"RIFF\0\0\0\0AVI ", "its first bytes (52 49 46 46) are those of no known kind of sound"),
    ],
)
def test_looks_like(head, words):
    assert looks_like(head, len(head)) == words


def test_text_that_is_cut_inside_a_letter_is_text():
    content = ("a" * 4_095 + "ß" * 9).encode()
    assert looks_like(content, len(content)) == f"it begins with text ('{'a' * 40}')"


def test_empty_and_without_samples(tmp_path):
    path = tmp_path / "empty.wav"
    path.write_bytes(b"")
    for source, label in ((path, r".*empty\.wav"), (b"", "the given bytes"), (io.BytesIO(), "the given file")):
        with pytest.raises(AudioError, match=rf"^{label}: is empty \(0 bytes\)\. Remove it or fetch it again\.$"):
            load(source, RATE, 1)
    message = r"^x: holds no samples after its header\. Remove it or fetch it again\.$"
    for content in (encode("WAV")[:44], encode("WAV", seconds=0), encode("AIFF", seconds=0)):
        for call in (probe, read):
            with pytest.raises(AudioError, match=message):
                call(content, name="x")
        with pytest.raises(AudioError, match=message):
            load(content, RATE, 1, name="x")
        with pytest.raises(AudioError, match=message):
            next(stream(content, RATE, 1, name="x"))


@pytest.mark.parametrize(("value", "word"), [(np.nan, "NaN"), (np.inf, "infinity"), (-np.inf, "infinity")])
def test_samples_that_are_no_numbers(value, word):
    waveform = np.zeros((RATE * 2, 2), np.float32)
    waveform[RATE + 2_000 :, 1] = value
    file = io.BytesIO()
    soundfile.write(file, waveform, RATE, format="WAV", subtype="FLOAT")
    message = rf"^x: holds {word} at 1\.250 s\. Repair it or remove it\.$"
    with pytest.raises(AudioError, match=message):
        load(file, 44_100, 2, name="x")
    with pytest.raises(AudioError, match=message):
        load(file, 44_100, 2, start_s=0.3, name="x")
    blocks = stream(file, RATE, 2, block_s=0.5, name="x")
    assert next(blocks).shape == next(blocks).shape == (2, RATE // 2)
    with pytest.raises(AudioError, match=message):
        next(blocks)
    assert load(file, RATE, 2, end_s=1.25).shape == (2, RATE + 2_000)


def test_a_name_stays_one_line():
    with pytest.raises(AudioError, match=r"^a\\nb\\udc80 🎧: is empty"):
        load(b"", RATE, 1, name="a\nb\udc80 🎧")


@pytest.mark.parametrize("size", [2**31, 2**32 - 16, 2**32 - 1])
def test_a_wav_header_that_promises_too_much(size):
    whole, _ = read(encode("WAV"))
    assert np.array_equal(load(wav_that_promises(size), RATE, 1), whole)
    assert np.array_equal(np.concatenate(list(stream(wav_that_promises(size), RATE, 1)), axis=1), whole)


@pytest.mark.parametrize("frames", [0, 17_000, 36_000 * RATE, 2**36 - 1])
def test_a_flac_header_that_promises_too_much_or_nothing(frames):
    whole, _ = read(encode("FLAC"))
    file = flac_that_promises(frames)
    tracemalloc.start()
    for source in (file, io.BytesIO(file)):
        assert np.array_equal(load(source, RATE, 1, max_s=5), whole)
        assert np.array_equal(load(source, RATE, 1, max_s=1e9), whole)
    assert np.array_equal(np.concatenate(list(stream(file, RATE, 1)), axis=1), whole)
    assert tracemalloc.get_traced_memory()[1] < 100_000_000
    tracemalloc.stop()
    assert probe(file).duration_s == (frames / RATE if frames else None)


def test_a_limit_holds_where_the_header_says_nothing():
    with pytest.raises(AudioError, match=r"^x: lasts longer than the limit of 1\.5 s\."):
        load(flac_that_promises(0), RATE, 1, max_s=1.5, name="x")


def test_a_range_that_the_header_promises_in_vain():
    file = flac_that_promises(36_000 * RATE)
    with pytest.raises(AudioError, match=r"^x: (cannot be read from 9\.0 s on|the range from 9\.000 to 9\.500 s lies)"):
        load(file, RATE, 1, start_s=9.0, end_s=9.5, name="x")
    message = r"^x: the range from 1\.000 to 3\.000 s lies outside it, it holds 2\.000 s of sound\.$"
    with pytest.raises(AudioError, match=message):
        load(file, RATE, 1, start_s=1.0, end_s=3.0, name="x")
    assert load(file, RATE, 1, start_s=1.0, end_s=2.0).shape == (1, RATE)


@pytest.mark.parametrize("kind", ["WAV", "AIFF", "OGG", "MP3"])
def test_a_file_that_ends_early_gives_what_is_there(kind):
    file = encode(kind, seconds=20.0)
    whole, _ = read(file)
    part = load(file[: len(file) * 2 // 3], RATE, 1)
    assert 0.4 * whole.shape[1] < part.shape[1] < 0.8 * whole.shape[1]
    assert np.array_equal(part, whole[:, : part.shape[1]])


def test_an_mp3_that_is_damaged_inside_is_told_although_its_decoder_takes_it_for_the_end():
    file = bytearray(encode("MP3", seconds=10.0))
    whole, _ = read(bytes(file))
    middle = len(file) // 2
    for at in range(middle, middle + 1_000):
        file[at] = (file[at] * 7 + 13) % 251
    with pytest.raises(AudioError, match=r"^x: is damaged at \d\.\d s \(.*\)\. Fetch it again or remove it\.$"):
        read(bytes(file), name="x")
    before = load(bytes(file), RATE, 1, start_s=1.0, end_s=2.0)
    assert np.array_equal(before, whole[:, RATE : 2 * RATE])


@pytest.mark.skipif(sys.platform == "win32", reason="C's stderr cannot be set there")
@pytest.mark.parametrize("damage", ["inside", "cut", "junk", "text"])
def test_the_decoder_of_mp3_keeps_its_notes_to_itself(damage, tmp_path, capfd):
    file = encode("MP3", seconds=10.0)
    rng = np.random.default_rng(0)
    half = len(file) // 2
    content = {
        "inside": file[:half] + rng.bytes(2_000) + file[half + 2_000 :],
        "cut": file[:half],
        "junk": b"\xff\xfb\x90\x00" + rng.bytes(80_000),
        "text": b"no sound " * 9_000,
    }[damage]
    path = tmp_path / "x.mp3"
    path.write_bytes(content)
    assert noisy_without_care(path, capfd)  # else this tests nothing
    for source in (path, content):
        for call in (read, probe, lambda sound: load(sound, RATE, 1, start_s=4.0, end_s=4.5)):
            assert one_line_or_samples(call, source)
    assert capfd.readouterr().err == ""


def noisy_without_care(path, capfd) -> bool:
    """Tell whether a file makes libmpg123 speak when soundfile reads it by itself; clear the screen."""
    with contextlib.suppress(soundfile.SoundFileError):
        soundfile.read(path)
    return capfd.readouterr().err != ""


@pytest.mark.skipif(sys.platform == "win32", reason="C's stderr cannot be set there")
def test_what_others_write_while_the_decoder_is_hushed_is_seen(tmp_path, capfd):
    libc = ctypes.CDLL(None)
    with hushed():
        with hushed():  # as by another thread
            os.write(2, b"by descriptor\n")
        print("by Python", file=sys.stderr)
        libc.perror(b"by C")
    libc.perror(b"by C again")
    told = capfd.readouterr().err
    assert "by descriptor" in told
    assert "by Python" in told
    assert "by C:" not in told
    assert "by C again:" in told


def test_a_flac_that_is_damaged_or_ends_early_tells_where():
    file = bytearray(encode("FLAC"))
    message = r"^x: is damaged or cut off at 1\.\d s \(flac decoder lost sync\)\. Fetch it again or remove it\.$"
    with pytest.raises(AudioError, match=message):
        load(bytes(file[: len(file) * 3 // 4]), RATE, 1, name="x")
    for at in range(len(file) * 2 // 3, len(file) * 2 // 3 + 200):
        file[at] ^= 0x5A
    with pytest.raises(AudioError, match=message):
        load(bytes(file), RATE, 1, name="x")


@pytest.mark.parametrize(
    ("kind", "coding"),
    [
        ("WAV", "PCM_16"),
        ("WAV", "IMA_ADPCM"),
        ("WAVEX", "PCM_24"),
        ("FLAC", None),
        ("OGG", None),
        ("MP3", None),
        ("AIFF", None),
    ],
)
def test_a_file_cut_anywhere_gives_samples_or_an_audio_error(kind, coding, capfd):
    file = encode(kind, coding, seconds=0.5)
    for size in range(1, len(file), 37):
        assert one_line_or_samples(load, file[:size], RATE, 1)
        assert one_line_or_samples(probe, file[:size])
    assert "Traceback" not in capfd.readouterr().err


def test_random_bytes_give_an_audio_error(capfd):
    rng = np.random.default_rng(0)
    for _ in range(100):
        assert one_line_or_samples(load, rng.bytes(int(rng.integers(1, 3_000))), RATE, 1)
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3", "AIFF"])
def test_changed_bytes_give_samples_or_an_audio_error(kind, capfd):
    rng = np.random.default_rng(1)
    file = encode(kind, seconds=0.3)
    for _ in range(60):
        changed = bytearray(file)
        for at in rng.integers(0, min(len(file), 300), 5):
            changed[at] = rng.integers(256)
        assert one_line_or_samples(load, bytes(changed), RATE, 1, max_s=10)
    assert "Traceback" not in capfd.readouterr().err
