"""Regular WAV files in memory: what libsndfile gives, to the bit; and whatever is not regular is left to it."""

import io
import struct

import numpy as np
import pytest
import soundfile

from soundfold.audio import load
from soundfold.audio.soundfile_in import open_with_soundfile
from soundfold.audio.wav_in import open_wav
from soundfold.errors import AudioError

pytestmark = pytest.mark.runtime

RATE = 22_050
FORM = struct.pack("<HHIIHH", 1, 2, RATE, 4 * RATE, 4, 16)


def encode(coding: str = "PCM_16", kind: str = "WAV", channels: int = 2, frames: int = 1000, seed: int = 0) -> bytes:
    """Return noise that reaches full scale at both ends."""
    waveform = np.random.default_rng(seed).uniform(-1, 1, (frames, channels))
    waveform[:2] = [[-1.0], [1.0]]
    file = io.BytesIO()
    soundfile.write(file, waveform, RATE, format=kind, subtype=coding)
    return file.getvalue()


def chunk(mark: bytes, content: bytes) -> bytes:
    return mark + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def wav(*chunks: bytes) -> bytes:
    content = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(content)) + content


def by_libsndfile(content: bytes) -> np.ndarray:
    return soundfile.read(io.BytesIO(content), dtype="float32", always_2d=True)[0].T


@pytest.mark.parametrize("kind", ["WAV", "WAVEX"])
@pytest.mark.parametrize("coding", ["PCM_16", "PCM_24"])
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_samples_are_libsndfiles(kind: str, coding: str, channels: int) -> None:
    content = encode(coding, kind, channels)
    sound = open_wav(content, "x")
    assert sound is not None
    assert (sound.sample_rate, sound.channels, sound.frames) == (RATE, channels, 1000)
    expected = by_libsndfile(content)
    for start, stop, size in ((0, None, 5000), (0, None, 7), (13, 640, 100), (999, 1000, 1), (990, 2000, 4)):
        blocks = list(sound.blocks(start, stop, size))
        assert all(block.shape[1] <= size and block.dtype == np.float32 for block in blocks)
        np.testing.assert_array_equal(np.concatenate(blocks, axis=1), expected[:, start:stop])


@pytest.mark.parametrize("options", [{}, {"start_s": 0.01, "end_s": 0.03}, {"join_alike": True}, {"downmix": "mean"}])
@pytest.mark.parametrize("coding", ["PCM_16", "PCM_24", "FLOAT", "PCM_U8"])
@pytest.mark.parametrize("rate", [RATE, 44_100])
def test_load_gives_the_same_with_the_content_as_without(tmp_path, options: dict, coding: str, rate: int) -> None:
    path = tmp_path / "x.wav"
    path.write_bytes(encode(coding, channels=3))
    expected = load(path, rate, 2, **options)
    np.testing.assert_array_equal(load(path, rate, 2, content=path.read_bytes(), **options), expected)


@pytest.mark.parametrize("options", [{"max_s": 0.01}, {"start_s": 1.0}, {"end_s": 2.0}])
def test_refusals_are_the_same_with_the_content_as_without(tmp_path, options: dict) -> None:
    path = tmp_path / "x.wav"
    path.write_bytes(encode())
    messages = []
    for content in (None, path.read_bytes()):
        with pytest.raises(AudioError) as refused:
            load(path, RATE, 2, content=content, **options)
        messages.append((type(refused.value), str(refused.value)))
    assert messages[0] == messages[1]


DATA = chunk(b"data", bytes(range(40)))


@pytest.mark.parametrize(
    "content",
    [
        wav(chunk(b"fmt ", FORM), chunk(b"LIST", b"odd"), DATA),
        wav(chunk(b"fmt ", FORM), chunk(b"fact", bytes(4)), DATA, chunk(b"bext", bytes(9))),
        wav(chunk(b"fmt ", FORM + b"\0\0"), DATA) + b"xyz",
        wav(chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, RATE, 0, 3, 24)), chunk(b"data", bytes(range(33)))),
    ],
)
def test_what_stands_beside_the_samples_is_passed_over(content: bytes) -> None:
    sound = open_wav(content, "x")
    assert sound is not None
    np.testing.assert_array_equal(np.concatenate(list(sound.blocks(0, None, 4)), axis=1), by_libsndfile(content))


@pytest.mark.parametrize(
    "content",
    [
        b"RIFF",
        wav(DATA),
        wav(chunk(b"fmt ", FORM)),
        wav(chunk(b"fmt ", FORM[:14]), DATA),
        wav(chunk(b"fmt ", FORM), chunk(b"data", b"")),
        wav(chunk(b"fmt ", FORM), chunk(b"data", bytes(7))),
        wav(chunk(b"fmt ", FORM), DATA)[:-1],
        wav(chunk(b"fmt ", FORM), DATA, DATA),
        wav(chunk(b"fmt ", FORM), chunk(b"fmt ", FORM), DATA),
        wav(chunk(b"LIST", b""), chunk(b"fmt ", FORM), DATA),
        wav(chunk(b"fmt ", FORM), chunk(b"PEAK", bytes(8)), DATA),
        wav(chunk(b"fmt ", FORM), chunk(b"\0\1\2\3", b""), DATA),
        wav(chunk(b"fmt ", struct.pack("<HHIIHH", 1, 2, 0, 0, 4, 16)), DATA),
        wav(chunk(b"fmt ", struct.pack("<HHIIHH", 1, 0, RATE, 0, 0, 16)), DATA),
        wav(chunk(b"fmt ", struct.pack("<HHIIHH", 1, 2, RATE, 0, 8, 16)), DATA),
        wav(chunk(b"fmt ", struct.pack("<HHIIHH", 1, 2, RATE, 0, 5, 20)), DATA),
        encode().replace(b"RIFF", b"RIFX"),
        *(encode(coding) for coding in ("PCM_U8", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "IMA_ADPCM")),
        encode("FLOAT", "WAVEX"),
        encode("PCM_16", "RF64"),
        encode("PCM_16", "FLAC"),
        encode("PCM_24", "WAVEX").replace(struct.pack("<HH", 22, 24), struct.pack("<HH", 22, 20)),
    ],
    ids=lambda content: content[8:44].hex(),
)
def test_what_is_not_regular_is_left_to_libsndfile(content: bytes) -> None:
    assert open_wav(content, "x") is None


@pytest.mark.parametrize("kind", [b"RIFF", b"RIFX", b"RF64"])
def test_a_header_without_end_is_refused_before_a_decoder_walks_through_it(tmp_path, monkeypatch, kind: bytes) -> None:
    def walked(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr("soundfold.audio.libav_in.opened_with_libav", walked)
    form = FORM if kind != b"RIFX" else struct.pack(">HHIIHH", 1, 2, RATE, 4 * RATE, 4, 16)
    size = struct.pack(">I" if kind == b"RIFX" else "<I", len(form))
    content = kind + b"\xff\xff\xff\x7fWAVEfmt " + size + form + b"JUNK\0\0\0\0" * 50_000
    path = tmp_path / "x.wav"
    path.write_bytes(content)
    for how in ({}, {"content": content}):
        with pytest.raises(AudioError, match=r"x\.wav: is a damaged WAV file, of more than 4,096 parts\. Fetch it"):
            load(path, RATE, 1, **how)
    many = wav(chunk(b"fmt ", FORM), *[chunk(b"JUNK", b"")] * 4_000, chunk(b"data", bytes(400)))
    assert load(many, RATE, 1, content=many).shape == (1, 100)


def test_whatever_is_taken_libsndfile_takes_alike() -> None:
    """Files with a bit, a byte or a chunk changed, or cut off: taken or left, but never heard differently."""
    generator = np.random.default_rng(0)
    marks = [b"LIST", b"fact", b"bext", b"JUNK", b"cue ", b"data", b"fmt ", b"PEAK", b"smpl", b"abcd"]
    taken = 0
    for seed in range(1500):
        coding, kind = ("PCM_16", "PCM_24")[seed % 2], ("WAV", "WAVEX")[seed // 2 % 2]
        content = bytearray(encode(coding, kind, 1 + seed % 3, int(generator.integers(2, 50)), seed))
        head = content.index(b"data") + 8
        match seed % 5:
            case 0:
                content[int(generator.integers(head))] = int(generator.integers(256))
            case 1:
                content[int(generator.integers(head))] ^= 1 << int(generator.integers(8))
            case 2 | 3:
                at = (12, head - 8, len(content))[int(generator.integers(3))]
                extra = chunk(marks[int(generator.integers(len(marks)))], generator.bytes(int(generator.integers(12))))
                content[at:at] = extra
            case 4:
                del content[int(generator.integers(8, len(content))) :]
        sound = open_wav(bytes(content), "x")
        if sound is not None:
            taken += 1
            expected = open_with_soundfile(io.BytesIO(content), "x")
            assert expected is not None, content[:80]
            assert (sound.sample_rate, sound.channels) == (expected.sample_rate, expected.channels)
            blocks = [np.concatenate(list(one.blocks(0, None, 1000)), axis=1) for one in (sound, expected)]
            np.testing.assert_array_equal(*blocks)
    assert 200 < taken < 1300
