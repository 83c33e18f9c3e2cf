"""Laws of the audio room under drawn numbers; left out where hypothesis is not installed."""

import io
import itertools

import numpy as np
import pytest
import soundfile

from soundfold.audio import fit_length, load, resample, resampled_length, stream, windows
from soundfold.errors import AudioError

pytestmark = pytest.mark.runtime

hypothesis = pytest.importorskip("hypothesis")
given, st = hypothesis.given, pytest.importorskip("hypothesis.strategies")

hypothesis.settings.register_profile("audio", database=None, deadline=None, max_examples=60)
quick = hypothesis.settings.get_profile("audio")

rates = st.integers(2_000, 192_000)


def encode(waveform: np.ndarray, rate: int, kind: str, coding: str) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, waveform.T, rate, format=kind, subtype=coding)
    return file.getvalue()


@quick
@given(samples=st.integers(1, 3_000), old=rates, new=rates)
def test_length_law(samples, old, new):
    waveform = np.random.default_rng(samples).standard_normal((1, samples)).astype(np.float32)
    length = resampled_length(samples, old, new)
    assert length == max(1, (2 * samples * new + old) // (2 * old))
    assert abs(length - samples * new / old) <= 0.5 or length == 1
    assert resample(waveform, old, new).shape == (1, length)


@quick
@given(samples=st.integers(1, 2_000), rate=rates, new=rates, block=st.integers(1, 2_500), channels=st.integers(1, 2))
def test_stream_equals_load(samples, rate, new, block, channels):
    waveform = np.random.default_rng(samples).uniform(-1, 1, (channels, samples)).astype(np.float32)
    file = encode(waveform, rate, "WAV", "FLOAT")
    for wanted in (1, 2):
        whole = load(file, new, wanted, downmix="mean")
        blocks = list(stream(file, new, wanted, downmix="mean", block_s=block / rate))
        assert np.array_equal(np.concatenate(blocks, axis=1), whole)
        assert whole.shape == (wanted, resampled_length(samples, rate, new))


@quick
@given(samples=st.integers(2, 2_000), data=st.data())
def test_a_range_is_a_slice(samples, data):
    rate = data.draw(rates)
    start = data.draw(st.integers(0, samples - 1))
    stop = data.draw(st.integers(start + 1, samples))
    waveform = np.random.default_rng(samples).uniform(-1, 1, (1, samples)).astype(np.float32)
    part = load(encode(waveform, rate, "WAV", "FLOAT"), rate, 1, start_s=start / rate, end_s=stop / rate)
    assert np.array_equal(part, waveform[:, start:stop])


@quick
@given(samples=st.integers(1, 5_000), window=st.integers(1, 3_000), share=st.floats(0, 1))
def test_windows_leave_no_gap(samples, window, share):
    hop = max(1, round(share * window))
    hypothesis.assume(samples / hop < 1_000)
    cut = windows(samples, window, hop)
    assert cut[0][0] == 0
    assert cut[-1][1] == samples
    assert all(start < stop for start, stop in cut)
    assert all(after[0] <= before[1] for before, after in itertools.pairwise(cut))


@quick
@given(samples=st.integers(1, 300), wanted=st.integers(1, 300))
def test_fit_length_moves_a_waveform_as_it_is(samples, wanted):
    waveform = np.arange(1, samples + 1, dtype=np.float32)[np.newaxis]
    fitted = fit_length(waveform, wanted)
    assert fitted.shape == (1, wanted)
    assert np.array_equal(fitted[fitted != 0], waveform[0, : min(samples, wanted)])


@quick
@given(content=st.binary(min_size=1, max_size=400), head=st.sampled_from([b"", b"RIFF", b"fLaC", b"OggS", b"FORM"]))
def test_bytes_of_any_kind_give_samples_or_an_audio_error(content, head):
    try:
        waveform = load(head + content, 8_000, 1, max_s=5)
    except AudioError:
        return
    assert np.isfinite(waveform).all()
