"""Channels, length and windows: laws of `remix`, `fit_length`, `windows` and `windows_with_sound`."""

import numpy as np
import pytest

from soundfold.audio import SILENT_PEAK, fit_length, remix, windows, windows_with_sound
from soundfold.errors import AudioError

pytestmark = pytest.mark.runtime


def noise(channels: int, samples: int) -> np.ndarray:
    return np.random.default_rng(channels * 1_000 + samples).standard_normal((channels, samples)).astype(np.float32)


@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize("downmix", ["first", "mean"])
def test_remix_to_the_same_number_is_the_array_itself(channels, downmix):
    waveform = noise(channels, 50)
    assert remix(waveform, channels, downmix) is waveform


@pytest.mark.parametrize("channels", [2, 3])
def test_remix_repeats_one_channel(channels):
    waveform = noise(1, 50)
    mixed = remix(waveform, channels)
    assert mixed.shape == (channels, 50)
    assert mixed.dtype == np.float32
    assert all(np.array_equal(row, waveform[0]) for row in mixed)


def test_remix_first_keeps_the_first_channels():
    waveform = noise(6, 50)
    assert np.array_equal(remix(waveform, 2, "first"), waveform[:2])


@pytest.mark.parametrize("found", [2, 3, 6])
@pytest.mark.parametrize("channels", [1, 2])
def test_remix_mean_averages_all_channels(found, channels):
    waveform = noise(found, 50)
    mixed = remix(waveform, channels, "mean") if found != channels else remix(waveform, 1, "mean")
    assert mixed.dtype == np.float32
    np.testing.assert_allclose(mixed[0], waveform.mean(axis=0), atol=1e-6)
    assert all(np.array_equal(row, mixed[0]) for row in mixed)


def test_remix_mean_does_not_depend_on_the_memory_layout():
    waveform = noise(3, 50)
    assert np.array_equal(remix(waveform, 1, "mean"), remix(np.asfortranarray(waveform), 1, "mean"))


def test_remix_up_and_down_gives_the_waveform_back():
    waveform = noise(1, 50)
    assert np.array_equal(remix(remix(waveform, 4), 1, "mean"), waveform)


def test_remix_refuses_to_invent_channels():
    with pytest.raises(AudioError, match=r"^channels must be at most 2 for a sound of 2 channels, got 4\.$"):
        remix(noise(2, 5), 4)
    with pytest.raises(AudioError, match=r"^channels must be at least 1, got 0\.$"):
        remix(noise(2, 5), 0)
    with pytest.raises(AudioError, match=r"^downmix must be 'first' or 'mean', got 'median'\.$"):
        remix(noise(2, 5), 1, "median")


@pytest.mark.parametrize("n", [1, 2, 7, 8, 9, 30])
@pytest.mark.parametrize("samples", [1, 7, 8, 20])
def test_fit_length_has_the_length_and_loses_nothing_that_fits(n, samples):
    waveform = noise(2, n)
    fitted = fit_length(waveform, samples)
    assert fitted.shape == (2, samples)
    assert fitted.dtype == np.float32
    if n >= samples:
        assert np.array_equal(fitted, waveform[:, :samples])
        return
    before = (samples - n) // 2
    assert np.array_equal(fitted[:, before : before + n], waveform)
    assert not fitted[:, :before].any()
    assert not fitted[:, before + n :].any()
    assert np.array_equal(fit_length(fitted, samples), fitted)


@pytest.mark.parametrize("offset", [0, 1, 5])
def test_fit_length_puts_silence_before(offset):
    fitted = fit_length(np.ones((1, 3), np.float32), 8, offset)
    assert fitted[0].tolist() == [0.0] * offset + [1.0] * 3 + [0.0] * (5 - offset)


@pytest.mark.parametrize("offset", [-1, 6])
def test_fit_length_refuses_an_offset_without_room(offset):
    with pytest.raises(AudioError, match=rf"^offset must be from 0 to 5 to put 3 samples into 8, got {offset}\.$"):
        fit_length(np.ones((1, 3), np.float32), 8, offset)
    with pytest.raises(AudioError, match=r"^samples must be at least 1, got 0\.$"):
        fit_length(np.ones((1, 3), np.float32), 0)


@pytest.mark.parametrize("samples", [1, 2, 9, 10, 11, 99, 100, 101])
@pytest.mark.parametrize("window", [1, 3, 10, 200])
def test_windows_side_by_side_cover_every_sample_once(samples, window):
    cut = windows(samples, window, window)
    assert [sample for start, stop in cut for sample in range(start, stop)] == list(range(samples))


@pytest.mark.parametrize("samples", [1, 5, 10, 37])
@pytest.mark.parametrize(("window", "hop"), [(4, 1), (4, 3), (4, 4), (10, 7)])
def test_windows_cover_every_sample_and_none_is_needless(samples, window, hop):
    cut = windows(samples, window, hop)
    assert [start for start, _ in cut] == list(range(0, len(cut) * hop, hop))
    assert {sample for start, stop in cut for sample in range(start, stop)} == set(range(samples))
    assert all(stop - start == window for start, stop in cut[:-1])
    assert 0 < cut[-1][1] - cut[-1][0] <= window
    assert all(stop < samples for _, stop in cut[:-1])


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ((0, 4, 2), r"^samples must be at least 1, got 0\.$"),
        ((9, 0, 2), r"^window must be at least 1, got 0\.$"),
        ((9, 4, 0), r"^hop must be at least 1, got 0\.$"),
        ((9, 4, 5), r"^hop must be at most the window of 4 samples, got 5\. Make it shorter\.$"),
    ],
)
def test_windows_refuses_what_would_pass_over_samples(numbers, message):
    with pytest.raises(AudioError, match=message):
        windows(*numbers)


@pytest.mark.parametrize("heard", [(), (0,), (2,), (1, 3), (0, 1, 2, 3)])
@pytest.mark.parametrize("where", [0, 60, 99])
@pytest.mark.parametrize("kind", ["float32", "int16"])
def test_windows_that_hold_nothing_are_none_unless_all_do(heard, where, kind):
    one = 1.0 if kind == "float32" else 2.0**-15
    sound = np.zeros((2, 350), kind)
    sound[0] = SILENT_PEAK / one  # is nothing yet, and of whole numbers nought
    for window in heard:
        sound[1, min(100 * window + where, 349)] = -2 * SILENT_PEAK / one
    cut = windows(350, 100, 100)
    assert windows_with_sound(sound, 100, one) == ([cut[window] for window in heard] or cut)
