"""Gaps: what lies between frames is silence, and what follows keeps its time, however much of the file is read."""

import io
from fractions import Fraction
from types import SimpleNamespace

import av
import numpy as np
import pytest
import soundfile

from soundfold.audio import load, stream
from soundfold.audio.gaps import Gaps
from soundfold.errors import AudioError

pytestmark = pytest.mark.runtime

RATE = 48_000
BEGINS_S = (0, 2, 9)  # of three sounds of a second each


def tone(hertz: float, seconds: float = 1.0) -> np.ndarray:
    return (0.4 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


def pitch(sound: np.ndarray) -> float:
    """Return the loudest frequency of (1, n) samples; 0 for silence."""
    spectrum = np.abs(np.fft.rfft(sound[0]))
    return 0.0 if spectrum.max() < 1 else float(spectrum.argmax() * RATE / sound.shape[1])


def recorded(muxer: str, codec: str) -> bytes:
    """Return a file of three sounds, 400, 800 and 1,200 Hz, with pauses between them that only its times tell."""
    file = io.BytesIO()
    with av.open(file, "w", format=muxer) as container:
        audio = container.add_stream(codec, rate=RATE, layout="mono")
        audio.bit_rate = 96_000
        size = audio.codec_context.frame_size or 960
        for number, begin_s in enumerate(BEGINS_S):
            sound = tone(400 * (number + 1))
            for first in range(0, len(sound) - size + 1, size):
                floats = av.AudioFrame.from_ndarray(sound[None, first : first + size], format="fltp", layout="mono")
                floats.sample_rate, floats.pts = RATE, 0
                fitting = av.AudioResampler(audio.codec_context.format, "mono", RATE)
                for frame in fitting.resample(floats):
                    frame.pts, frame.time_base = begin_s * RATE + first, Fraction(1, RATE)
                    container.mux(audio.encode(frame))
        container.mux(audio.encode(None))
    return file.getvalue()


@pytest.mark.parametrize(
    ("muxer", "codec"),
    [("matroska", "pcm_s16le"), ("matroska", "flac"), ("webm", "libopus"), ("ipod", "alac")],
)
def test_what_follows_a_pause_keeps_its_time(muxer: str, codec: str) -> None:
    content = recorded(muxer, codec)
    whole = load(io.BytesIO(content), RATE, 1)
    assert whole.shape[1] / RATE == pytest.approx(BEGINS_S[-1] + 1, abs=0.05)
    for second in range(BEGINS_S[-1] + 1):
        heard = pitch(whole[:, second * RATE + 9_600 : second * RATE + 38_400])
        told = 400 * (BEGINS_S.index(second) + 1) if second in BEGINS_S else 0
        assert heard == pytest.approx(told, abs=5)
        part = load(io.BytesIO(content), RATE, 1, start_s=second + 0.2, end_s=second + 0.8)
        assert pitch(part) == pytest.approx(told, abs=5)
    blocks = np.concatenate(list(stream(io.BytesIO(content), RATE, 1, block_s=0.7)), axis=1)
    np.testing.assert_allclose(blocks, whole, atol=1e-4)


def test_a_lost_page_of_opus_leaves_silence_where_it_was() -> None:
    file = io.BytesIO()
    seconds = np.concatenate([tone(400 + 100 * second) for second in range(12)])
    soundfile.write(file, seconds, RATE, format="OGG", subtype="OPUS")
    first, *others = file.getvalue().split(b"OggS")[1:]
    assert len(others) > 10
    content = b"".join(b"OggS" + page for page in [first, *others[:5], *others[6:]])
    whole = load(io.BytesIO(content), RATE, 1)
    assert whole.shape[1] / RATE == pytest.approx(12, abs=0.1)
    told = [pitch(whole[:, second * RATE + 9_600 : second * RATE + 38_400]) for second in range(12)]
    right = [abs(found - 400 - 100 * second) < 5 for second, found in enumerate(told)]
    assert right[0]
    assert all(right[-5:])
    assert not all(right)
    for second in np.flatnonzero(right):
        part = load(io.BytesIO(content), RATE, 1, start_s=second + 0.2, end_s=second + 0.8)
        assert pitch(part) == pytest.approx(told[second], abs=5)


def frames(*times: float | None) -> list[SimpleNamespace]:
    return [
        SimpleNamespace(time=time, samples=960, sample_rate=RATE, layout=SimpleNamespace(nb_channels=2))
        for time in times
    ]


def filled(gaps: Gaps, *times: float | None) -> list[int]:
    return [sum(piece.shape[1] for piece in gaps.before(frame, 0.0)) for frame in frames(*times)]


def test_rounded_times_times_that_go_back_and_guessed_ones_are_no_gaps() -> None:
    assert filled(Gaps("ogg", 9.0, "x"), 5.0, 5.02, 5.041, 5.06, 1.0, None, 1.02, 2.04) == [0] * 7 + [RATE]
    assert filled(Gaps("avi", 9.0, "x"), 0.0, 5.0) == [0, 0]


@pytest.mark.parametrize(("told_s", "leap_s"), [(9.0, 9.5), (None, 61)])
def test_a_leap_beyond_the_end_is_damage(told_s: float | None, leap_s: float) -> None:
    with pytest.raises(AudioError, match=rf"^x: is damaged at 0\.0 s \(its times leap by {leap_s:.1f} s\)\. Fetch it"):
        filled(Gaps("matroska,webm", told_s, "x"), 0.0, leap_s + 0.02)


@pytest.mark.parametrize("end", [0.4, 0.7])
def test_vorbis_with_damage_inside_is_refused_and_cut_off_is_not(end: float) -> None:
    file = io.BytesIO()
    rng = np.random.default_rng(0)
    soundfile.write(file, tone(400, 20) + rng.normal(0, 0.01, 20 * RATE), RATE, format="OGG", subtype="VORBIS")
    content = bytearray(file.getvalue())
    cut = content[: int(len(content) * end)]
    assert 20 * (end - 0.2) < load(io.BytesIO(bytes(cut)), RATE, 1).shape[1] / RATE < 20
    middle = int(len(content) * end)
    content[middle : middle + 200] = bytes(range(200))
    with pytest.raises(AudioError, match=r"is damaged: \d\.\d s of it are lost inside\. Fetch it again or remove it\."):
        load(io.BytesIO(bytes(content)), RATE, 1)
